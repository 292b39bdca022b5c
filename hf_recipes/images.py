"""Images in the cells of a data set."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps


def open_image(cell: Any) -> Image.Image | np.ndarray:
    """What an image column holds, undecoded by `datasets` so that a broken file can be named: a PIL image or array."""
    if isinstance(cell, dict) and ("bytes" in cell or "path" in cell):
        cell = BytesIO(cell["bytes"]) if cell.get("bytes") else cell["path"]
    if isinstance(cell, (str, Path, BytesIO)):
        image = Image.open(cell)
        image.load()  # a truncated file fails here
        ImageOps.exif_transpose(image, in_place=True)  # upright, as `datasets` and the pipelines of transformers see it
        return image
    if cell is None:
        raise ValueError("it is missing")
    return cell if isinstance(cell, Image.Image) else np.asarray(cell)


def name_row(index: int, split_name: str, cell: Any) -> str:
    """A row for a message, with the file of its image where that is known."""
    path = cell.get("path") if isinstance(cell, dict) else None
    return f"row {index} of {split_name}" + (f" ({path})" if path else "")


def to_rgb(image: Image.Image) -> Image.Image:
    """8-bit RGB. 16-bit gray is brought to 8 bits, which PIL's own conversion would cut off at white.

    Raises:
        ValueError: for floats and 32-bit integers, whose range says nothing.
    """
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) // 257).astype(np.uint8))
    elif image.mode in ("I", "F"):
        raise ValueError(
            f"its pixels are {'floats' if image.mode == 'F' else '32-bit integers'}; save it with 8 or 16 bits"
        )
    return image.convert("RGB")
