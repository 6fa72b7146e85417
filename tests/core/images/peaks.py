"""What decoding large pictures takes at its peak, in a process in which nothing else goes on.

`python -m tests.core.images.peaks` prints, for each kind of file, what its header was said to cost
and what decoding it took, in bytes.
"""

import ctypes
import gc
import json
from pathlib import Path

import numpy as np
from PIL import Image

from core.images.cost import Cost
from core.images.decode import decode
from tests.files import GRAY, SMALL, save
from tests.files.deep import deep_png

KINDS = (
    *("turned JPEG", "progressive JPEG", "CMYK JPEG", "turned PNG", "RGBA PNG"),
    *("PNG of 16 bits", "RGBA WEBP", "TIFF of floats", "RGBA TIFF", "AVIF", "GIF"),
)


def large(kind: str) -> bytes:
    """Some four megapixels of a file that says little."""
    pixels = np.ascontiguousarray(SMALL.repeat(40, axis=0).repeat(40, axis=1))
    image = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x112] = 6
    match kind:
        case "turned JPEG":
            return save(image, "JPEG", exif=exif)
        case "progressive JPEG":
            return save(image, "JPEG", progressive=True, subsampling=0)
        case "CMYK JPEG":
            return save(image.convert("CMYK"), "JPEG")
        case "turned PNG":
            return save(image, "PNG", compress_level=1, exif=exif)
        case "RGBA PNG":
            return save(image.convert("RGBA"), "PNG", compress_level=1)
        case "PNG of 16 bits":
            deep = GRAY.astype(np.uint16).repeat(40, axis=0).repeat(40, axis=1)
            return deep_png(np.stack([deep] * 4, axis=2), 6)
        case "RGBA WEBP":
            return save(image.convert("RGBA"), "WEBP", method=0, exif=exif)
        case "TIFF of floats":
            floats = np.ascontiguousarray(pixels[:1600]).astype(np.float32)
            return save(Image.fromarray(floats[..., 0]), "TIFF", compression="tiff_deflate")
        case "RGBA TIFF":
            return save(image.convert("RGBA"), "TIFF", compression="tiff_lzw")
        case "AVIF":
            return save(image, "AVIF", speed=10)
    return save(image.convert("P"), "GIF")


def peak(kind: str) -> tuple[int, int]:
    """Bytes that decoding this kind of file was said to take, and took."""
    content, bits = large(kind), 12 if "16 bits" in kind else None
    said: list[Cost] = []
    decode(content, bits=bits, reserve=said.append)  # also what is loaded once
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = memory("VmRSS")
    decode(content, bits=bits)
    return said[-1].bytes, memory("VmHWM") - before


def memory(name: str) -> int:
    """A field of this process's status, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(each for each in lines if each.startswith(name)).split()[1]) * 1024


if __name__ == "__main__":
    print(json.dumps({kind: peak(kind) for kind in KINDS}))
