"""Pictures that stand within a page, as the address of an image."""

from __future__ import annotations

from base64 import b64encode
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL import Image

THUMBNAIL = 160  # pixels


def inline_png(image: Image.Image) -> str:
    """A picture as the address of an image that stands within a page."""
    buffer = BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + b64encode(buffer.getvalue()).decode()


def thumbnail(frame: NDArray[np.uint8]) -> str:
    """One frame of at most THUMBNAIL pixels a side."""
    from PIL import Image

    image = Image.fromarray(frame)
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    return inline_png(image)
