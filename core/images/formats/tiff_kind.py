"""What kind of TIFF a picture is: what its samples mean, and who can read them."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

from core.images.formats.tiff import TagEntry, layout, numbers, tiff_tags

SUBFILE_TYPE: Final = 254
WIDTH: Final = 256
HEIGHT: Final = 257
BITS: Final = 258
COMPRESSION: Final = 259
PHOTOMETRIC: Final = 262
FILL_ORDER: Final = 266
ORIENTATION: Final = 274
SAMPLES: Final = 277
LARGEST: Final = 281
PLANAR: Final = 284
PREDICTOR: Final = 317
SUB_PICTURES: Final = 330
EXTRA_SAMPLES: Final = 338
SAMPLE_FORMAT: Final = 339
SUBSAMPLING: Final = 530
DNG_VERSION: Final = 50706

UNSIGNED, SIGNED, FLOAT = 1, 2, 3
WHITE_IS_ZERO, GRAY, RGB, PALETTE, CMYK, YCBCR, LAB = 0, 1, 2, 3, 5, 6, 8

_COLORS: Final = {
    WHITE_IS_ZERO: "gray",
    GRAY: "gray",
    RGB: "RGB",
    PALETTE: "palette",
    4: "transparency mask",
    CMYK: "CMYK",
    YCBCR: "YCbCr",
    LAB: "CIELab",
    9: "ICCLab",
    10: "ITULab",
    32844: "LogL",
    32845: "LogLuv",
}
_NUMBERS: Final = {UNSIGNED: "", SIGNED: "signed ", FLOAT: "float ", 5: "complex ", 6: "complex "}
_RAW_PHOTOMETRICS: Final = (32803, 34892)  # the sensor's own pattern, and what is made of it
_BANDS: Final = {WHITE_IS_ZERO: 1, GRAY: 1, RGB: 3, PALETTE: 1, 4: 1, CMYK: 4, 32844: 1}
_UNDERSTOOD: Final = (WHITE_IS_ZERO, GRAY, RGB, CMYK)
_LOSSLESS: Final = (1, 5, 8, 32773, 32946, 34925, 50000)
_JPEG: Final = (6, 7)
_PILLOWS: Final = (WHITE_IS_ZERO, RGB, YCBCR, LAB)
_PILLOWS_GRAY: Final = {
    (UNSIGNED, 16): "<>",
    (SIGNED, 16): "<>",
    (SIGNED, 32): "<>",
    (FLOAT, 32): "<>",
}
"""Byte orders of the deep gray that Pillow reads right."""

_PACKED: Final = range(9, 16)
_DEPTHS: Final = {UNSIGNED: (8, *_PACKED, 16, 32), SIGNED: (8, 16, 32), FLOAT: (16, 32, 64)}
_MAX_BEYOND: Final = 3
_TAKEN: Final = (*_LOSSLESS, *_JPEG, 2, 3, 4, 32771, 32809)
_COMPRESSIONS: Final = {
    22610: "JPEG XR",
    34934: "JPEG XR",
    34933: "PNG",
    33003: "JPEG 2000",
    33005: "JPEG 2000",
    34712: "JPEG 2000",
    34661: "JBIG",
    34676: "SGI's logarithms",
    34677: "SGI's logarithms",
    34887: "LERC",
    50001: "WebP",
    50002: "JPEG XL",
    52546: "JPEG XL",
}


@dataclass(frozen=True)
class TiffKind:
    """What the first picture of a TIFF says of its pixels.

    Attributes:
        order: "<" or ">".
        width, height: pixels, as stored.
        bits: of each sample.
        compression, photometric, planar, predictor, fill_order: the tags' values.
        samples: per pixel.
        extra: what each sample beyond the colors is: 0 unknown, 1 premultiplied alpha, 2 alpha.
        sample_format: 1 unsigned, 2 signed, 3 float, others.
        largest: value of a sample, as the file says; 0 = it does not.
        orientation: 1 (upright) to 8.
        is_raw: the picture is what a camera's sensor saw, or a small preview beside that.
        is_unaligned: it has fewer color samples than pixels, and no codec that would spread them.
        is_big_endian_big: BigTIFF that begins with MM.
    """

    order: str
    width: int
    height: int
    bits: tuple[int, ...]
    compression: int
    photometric: int
    planar: int
    predictor: int
    fill_order: int
    samples: int
    extra: tuple[int, ...]
    sample_format: int
    largest: int
    orientation: int
    is_raw: bool
    is_unaligned: bool
    is_big_endian_big: bool

    @property
    def depth(self) -> int:
        """Bits of a sample; of the first, if they differ."""
        return self.bits[0]

    @property
    def is_packed(self) -> bool:
        """Whether its samples are no whole bytes, but deeper than one."""
        return self.depth in _PACKED

    @property
    def is_deep_color(self) -> bool:
        """Whether it has 16 bits in more than one channel, of which Pillow keeps 8."""
        return self.depth == 16 and self.samples > 1

    @property
    def stored_bits(self) -> int:
        """Bits that a sample has, or that its largest value has where that is all ones.

        Any other value is one that the picture happens to hold, as TIFF 6.0 means this tag.
        """
        named = self.largest.bit_length()
        is_range = named in _PACKED and self.largest == 2**named - 1
        return named if is_range and named < self.depth else self.depth

    @property
    def bands(self) -> int:
        """Samples that are color."""
        return _BANDS.get(self.photometric, 3)

    @property
    def alpha(self) -> int | None:
        """Which sample is alpha; None if none is."""
        found = [i for i, each in enumerate(self.extra) if each in (1, 2)]
        return self.bands + found[0] if found and self.bands + found[0] < self.samples else None

    @cached_property
    def name(self) -> str:
        """The kind in words, such as "16-bit gray with alpha"."""
        color = _COLORS.get(self.photometric, f"photometric {self.photometric}")
        depth = f"{self.depth}-bit " if len(set(self.bits)) == 1 else f"{self.bits} bits of "
        numbers = _NUMBERS.get(self.sample_format, "undefined ")
        named = f"{depth}{numbers}{color}"
        if self.alpha is not None:
            return f"{named} with alpha"
        if self.samples > self.bands:
            return f"{named} of {self.samples} samples per pixel"
        return named

    @property
    def mode(self) -> str:
        """The layout in the manner of Pillow's names, such as "LA;16" or "RGB;32F"."""
        colors = {1: "L", 3: "RGB", 4: "CMYK"}[self.bands]
        letter = {UNSIGNED: "", SIGNED: "S", FLOAT: "F"}[self.sample_format]
        return f"{colors}{'A' if self.alpha is not None else ''};{self.depth}{letter}"

    @property
    def refusal(self) -> str:
        """The picture in words, if it is of a kind that is not taken; else empty."""
        if self.is_raw:
            return "camera RAW in a TIFF, whose first picture is a preview or the sensor's pattern"
        if self.is_big_endian_big:
            return "a BigTIFF of big-endian byte order"
        if self.compression not in _TAKEN:
            by = _COMPRESSIONS.get(self.compression, f"method {self.compression}")
            return f"a TIFF compressed by {by}"
        if self.is_unaligned:
            return "a TIFF of subsampled YCbCr without compression"
        return "" if self.is_pillows or self.is_samples else f"a TIFF of {self.name}"

    @property
    def is_pillows(self) -> bool:
        """Whether Pillow reads it, and reads it right."""
        if self.compression in _JPEG:  # the JPEG inside says what it holds
            return True
        if len(set(self.bits)) != 1 or not self._has_pillows_extra:
            return False
        if self.depth <= 8:
            return self.sample_format == UNSIGNED and self._is_pillows_of_8_bits
        if self.fill_order != 1 or (self.planar == 2 and self.samples > 1):
            return False
        if (self.sample_format, self.depth) == (UNSIGNED, 16) and self.photometric in (RGB, CMYK):
            return self.samples == 3 or (self.samples == 4 and self.alpha in (None, 3))
        if self.samples != 1 or self.photometric != GRAY:
            return False
        orders = _PILLOWS_GRAY.get((self.sample_format, self.depth), "")
        return self.order in orders

    @property
    def _has_pillows_extra(self) -> bool:
        """Whether at most the first sample beyond the colors means anything."""
        beyond = self.samples - self.bands
        if beyond <= 0:
            return beyond == 0
        return len(self.extra) == beyond and not any(self.extra[1:])

    @property
    def _is_pillows_of_8_bits(self) -> bool:
        beyond = self.samples - self.bands
        if self.depth < 8:
            return self.photometric in (WHITE_IS_ZERO, GRAY, PALETTE) and beyond == 0
        if self.photometric in (GRAY, PALETTE):
            return beyond == 0 or (beyond == 1 and self.planar == 1)
        if self.photometric == CMYK:
            return beyond <= 2 and self.alpha is None
        return beyond <= (3 if self.photometric == RGB else 0) and self.photometric in _PILLOWS

    @property
    def _predictors(self) -> tuple[int, ...]:
        """Those that are undone here; libtiff writes none for packed samples."""
        if self.is_packed:
            return (1,)
        return (1, 3 if self.sample_format == FLOAT else 2)

    @property
    def is_samples(self) -> bool:
        """Whether its samples can be read as bytes and be understood here."""
        beyond = self.samples - self.bands
        return (
            self.photometric in _UNDERSTOOD
            and self.compression in _LOSSLESS
            and self.fill_order == 1
            and len(set(self.bits)) == 1
            and self.depth in _DEPTHS.get(self.sample_format, ())
            and self.predictor in self._predictors
            and 0 <= beyond <= _MAX_BEYOND
            and (self.bands > 1 or beyond <= 1 or self.alpha == 1)
        )


def tiff_kind(content: bytes) -> TiffKind | None:
    """What kind of TIFF it is; None if its first directory does not say how large it is."""
    tags = tiff_tags(content)

    def all_of(tag: int, default: tuple[int, ...]) -> tuple[int, ...]:
        return numbers(content, tags.get(tag), default)

    def one(tag: int, default: int) -> int:
        return all_of(tag, (default,))[0]

    width, height, samples = one(WIDTH, 0), one(HEIGHT, 0), max(one(SAMPLES, 1), 1)
    if not (width and height):
        return None
    compression, photometric = one(COMPRESSION, 1), one(PHOTOMETRIC, 0)
    bits, extra = all_of(BITS, (1,)), all_of(EXTRA_SAMPLES, ())
    if photometric == RGB and samples == 4 and not extra:  # forgotten by those who write alpha
        extra = (2,)
    orientation = one(ORIENTATION, 1)
    subsampling = all_of(SUBSAMPLING, (1, 1))
    return TiffKind(
        order=layout(content).order,
        width=width,
        height=height,
        bits=bits[:samples] if len(bits) > 1 else bits,
        compression=compression,
        photometric=photometric,
        planar=one(PLANAR, 1),
        predictor=one(PREDICTOR, 1),
        fill_order=one(FILL_ORDER, 1),
        samples=samples,
        extra=extra,
        sample_format=max(all_of(SAMPLE_FORMAT, (UNSIGNED,))),
        largest=max(all_of(LARGEST, (0,))),
        orientation=orientation if 1 <= orientation <= 8 else 1,
        is_raw=_is_raw(tags, photometric, one(SUBFILE_TYPE, 0), content),
        is_unaligned=(compression, photometric) == (1, YCBCR) and set(subsampling) != {1},
        is_big_endian_big=layout(content) == (">", True),
    )


def _is_raw(tags: dict[int, TagEntry], photometric: int, subfile: int, content: bytes) -> bool:
    """Whether it is a camera's own file: CR2, NEF, ARW, DNG and others are TIFFs outside."""
    is_preview = bool(subfile & 1) and SUB_PICTURES in tags
    is_cr2 = content[8:10] == b"CR"
    return is_cr2 or is_preview or DNG_VERSION in tags or photometric in _RAW_PHOTOMETRICS
