import io

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from tests.files import save

_INVERSE = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}


def oriented(pixels: NDArray[np.uint8], orientation: int) -> tuple[Image.Image, Image.Exif]:
    """A picture stored so that its orientation makes it upright, by Pillow's own transposes."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = _INVERSE[orientation]
    image = Image.fromarray(pixels)
    file = io.BytesIO(save(image, "PNG", exif=exif))
    stored = ImageOps.exif_transpose(Image.open(file))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return Image.fromarray(np.array(stored)), exif
