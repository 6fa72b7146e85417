"""TIFFs whose pixels Pillow cannot read, or reads wrong."""

import struct
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.errors import ImageCorrupt, ImageTooLarge
from core.images.depth import FULL_BITS, Depth, significant_bits
from core.images.formats import tiff
from core.images.formats import tiff_kind as kinds
from core.images.formats.tiff_kind import TiffKind
from core.images.pillow import open_picture
from core.images.rgb import composited, eight_bits, shallow_alpha
from core.types import Pixels

_ROWS_PER_STRIP: Final = 278
_TILE_WIDTH: Final = 322
_TILE_HEIGHT: Final = 323
_BYTES_PER_PIXEL: Final = 4
_LONG: Final = 4
_AT_ONCE: Final = 2**18
"""Packed samples taken apart at a time."""
_CODES: Final = {kinds.UNSIGNED: "u", kinds.SIGNED: "i", kinds.FLOAT: "f"}

Samples = NDArray[Any]
"""(H, W, samples), of the type the file has."""


def decode_samples(
    content: bytes, kind: TiffKind, depth: Depth, max_pixels: int
) -> tuple[Pixels, int | None]:
    """The first picture of a TIFF, not yet upright, and how many bits of it meant something.

    Its strips or tiles are opened as if they were gray bytes, which libtiff unpacks whatever they
    mean; what they mean is undone here.

    Args:
        content: the file.
        kind: of the file; `is_samples`.
        depth: what is known of it.
        max_pixels: a picture may hold as many bytes as one of so many pixels in RGBA.

    Returns:
        (H, W, 3) uint8, contiguous, writable; the bits as in `ImageSource`.

    Raises:
        ImageTooLarge: it holds more bytes.
        ImageCorrupt: it holds NaN or infinity, or its tiles have no size.
        InvalidValue: it does not fit into the bits asked for.
    """
    samples = _Reader(content, kind, max_pixels).samples()
    bits = significant_bits(samples[..., : kind.bands], depth)
    return _to_rgb(samples, kind, bits or FULL_BITS), bits


class _Reader:
    """Reads the samples of one file."""

    def __init__(self, content: bytes, kind: TiffKind, max_pixels: int) -> None:
        self._content = content
        self._kind = kind
        self._form = tiff.layout(content)
        self._tags = tiff.tiff_tags(content)
        self._tile = self._tile_size() if tiff.TILE_OFFSETS in self._tags else None
        self._width, self._height = kind.width, kind.height
        if self._tile is not None:  # to the end of the last tile: a predictor needs all of it
            across, down = self._tile
            self._width = -(-kind.width // across) * across
            self._height = -(-kind.height // down) * down
        self._item = -(-kind.depth // 8)  # bytes of a sample, unpacked
        self._interleaved = 1 if kind.planar == 2 else kind.samples
        across = self._tile[0] if self._tile is not None else self._width
        # Bytes of a row of a tile, or of the picture where there are none.
        self._row = -(-across * self._interleaved * kind.depth // 8)
        size = self._width * self._height * kind.samples * self._item
        if size > _BYTES_PER_PIXEL * max_pixels:
            raise ImageTooLarge(
                f"a TIFF of {kind.name} of {size} bytes; "
                f"at most {_BYTES_PER_PIXEL * max_pixels} are taken"
            )

    def samples(self) -> Samples:
        """(H, W, samples)."""
        planes = range(self._kind.samples if self._kind.planar == 2 else 1)
        read = [self._plain(self._plane(i, len(planes))) for i in planes]
        whole = read[0] if len(read) == 1 else np.concatenate(read, axis=2)
        return whole[: self._kind.height, : self._kind.width]

    def _tile_size(self) -> tuple[int, int]:
        across, down = (
            tiff.numbers(self._content, self._tags.get(tag), (0,))[0]
            for tag in (_TILE_WIDTH, _TILE_HEIGHT)
        )
        if not (across and down):
            raise ImageCorrupt(f"a TIFF with tiles of {across} x {down} pixels")
        return across, down

    def _plane(self, index: int, planes: int) -> NDArray[np.uint8]:
        """(H, bytes of a row) of one plane, unpacked."""
        with open_picture(self._as_gray(index, planes), "TIFF") as image:
            image.load()
            return np.array(image)

    def _as_gray(self, index: int, planes: int) -> bytes:
        """The file with one more directory, the first to be read, that calls its bytes gray."""
        scalars = {
            kinds.WIDTH: self._row * len(self._tile_columns()),
            kinds.HEIGHT: self._height,
            kinds.BITS: 8,
            kinds.COMPRESSION: self._kind.compression,
            kinds.PHOTOMETRIC: kinds.GRAY,
            kinds.SAMPLES: 1,
        }
        where = (tiff.STRIP_OFFSETS, tiff.STRIP_BYTES)
        if self._tile is not None:
            where = (tiff.TILE_OFFSETS, tiff.TILE_BYTES)
            scalars |= {_TILE_WIDTH: self._row, _TILE_HEIGHT: self._tile[1]}
        elif _ROWS_PER_STRIP in self._tags:
            rows = tiff.numbers(self._content, self._tags[_ROWS_PER_STRIP], (self._height,))[0]
            scalars[_ROWS_PER_STRIP] = min(max(rows, 1), self._height)
        number = struct.Struct(self._form.order + "I")
        fields = {tag: (_LONG, 1, number.pack(value)) for tag, value in scalars.items()}
        fields |= {tag: self._share(tag, index, planes) for tag in where if tag in self._tags}
        return self._with_directory(fields)

    def _share(self, tag: int, index: int, planes: int) -> tuple[int, int, bytes]:
        """Type, count and values of a plane's share of all strips or tiles."""
        entry = self._tags[tag]
        count, size = entry.length // planes, tiff.item_bytes(entry)
        data = tiff.values(self._content, entry)
        return entry.type, count, data[index * count * size : (index + 1) * count * size]

    def _with_directory(self, fields: dict[int, tuple[int, int, bytes]]) -> bytes:
        form = self._form
        start = len(self._content) + len(self._content) % 2
        end = (
            start + form.count_form.size + len(fields) * form.entry_form.size + form.link_form.size
        )
        directory, arrays = bytearray(form.count_form.pack(len(fields))), bytearray()
        room = form.link_form.size
        for tag, (type_, count, data) in sorted(fields.items()):
            if len(data) > room:
                here = form.link_form.pack(end + len(arrays))
                arrays += data + b"\0" * (len(data) % 2)
                data = here
            directory += form.entry_form.pack(tag, type_, count, data.ljust(room, b"\0"))
        directory += bytes(form.link_form.size)
        head = 8 if form.big else 4
        content = self._content.ljust(start, b"\0")
        rest = content[head + form.link_form.size :]
        return content[:head] + form.link_form.pack(start) + rest + bytes(directory) + bytes(arrays)

    def _plain(self, rows: NDArray[np.uint8]) -> Samples:
        """(H, bytes of a row) -> (H, W, samples of this plane), differences summed up."""
        kind = self._kind
        code = _CODES[kind.sample_format]
        shape = (self._height, self._width, self._interleaved)
        if kind.is_packed:
            return self._unpacked(rows).reshape(shape)
        if kind.predictor == 3:
            return self._from_float_differences(rows).reshape(shape)
        stored = rows.view(f"{kind.order}{code}{self._item}").reshape(shape)
        if kind.predictor == 1:
            return stored
        whole = stored.view(f"{kind.order}u{self._item}").astype(f"u{self._item}")
        for columns in self._tile_columns():
            np.cumsum(whole[:, columns], axis=1, dtype=whole.dtype, out=whole[:, columns])
        return whole.view(f"{code}{self._item}")

    def _tile_columns(self) -> list[slice]:
        """The columns of each tile: a predictor begins anew in every one."""
        across = self._tile[0] if self._tile is not None else self._width
        return [slice(left, left + across) for left in range(0, self._width, across)]

    def _unpacked(self, rows: NDArray[np.uint8]) -> NDArray[np.uint16]:
        """(H x tiles across, values) of samples of no whole bytes, most significant bit first.

        Source: TIFF 6.0, FillOrder and BitsPerSample.
        """
        across = self._width // len(self._tile_columns())
        bits, count = self._kind.depth, across * self._interleaved
        first = np.arange(count) * bits  # bit of each sample
        at, shift = first // 8, (24 - bits - first % 8).astype(np.uint32)
        tile_rows = rows.reshape(-1, self._row)
        whole = np.empty((len(tile_rows), count), np.uint16)
        step = max(_AT_ONCE // count, 1)
        for top in range(0, len(tile_rows), step):  # some at a time, for memory's sake
            padded = np.pad(tile_rows[top : top + step], ((0, 0), (0, 2))).astype(np.uint32)
            three = padded[:, at] << 16 | padded[:, at + 1] << 8 | padded[:, at + 2]
            whole[top : top + step] = three >> shift & (2**bits - 1)
        return whole

    def _from_float_differences(self, rows: NDArray[np.uint8]) -> Samples:
        """Sum up the bytes, then put each float's together, most significant first.

        Source: Adobe Photoshop TIFF Technical Note 3.
        """
        item, stride = self._item, self._interleaved
        whole = np.empty((self._height, self._width * stride), f">f{item}")
        for columns in self._tile_columns():
            left, right = columns.start * stride, min(columns.stop, self._width) * stride
            bytes_ = rows[:, left * item : right * item].reshape(self._height, -1, stride)
            summed = np.cumsum(bytes_, axis=1, dtype=np.uint8)
            planes = summed.reshape(self._height, item, right - left)
            values = np.ascontiguousarray(planes.transpose(0, 2, 1))  # (H, values, bytes)
            whole[:, left:right] = values.view(f">f{item}")[..., 0]
        return whole


def _to_rgb(samples: Samples, kind: TiffKind, bits: int) -> Pixels:
    """(H, W, samples) -> (H, W, 3) uint8."""
    color = eight_bits(samples[..., : kind.bands], bits, unit=kind.bands > 1)
    if kind.photometric == kinds.WHITE_IS_ZERO:
        color = 255 - color
    if kind.bands == 1:
        color = np.repeat(color, 3, axis=2)
    is_cmyk = kind.photometric == kinds.CMYK
    if is_cmyk:
        size = (color.shape[1], color.shape[0])
        inks = Image.frombytes("CMYK", size, np.ascontiguousarray(color).tobytes())
        color = np.array(inks.convert("RGB"))
    if kind.alpha is None:
        return np.ascontiguousarray(color)
    alpha = shallow_alpha(samples[..., kind.alpha : kind.alpha + 1], min(bits, kind.depth))
    premultiplied = kind.extra[kind.alpha - kind.bands] == 1 and not is_cmyk
    return composited(color, alpha, premultiplied=premultiplied)
