"""What tasks share that decode data sets of images."""

import hashlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PILImage
from PIL import ImageOps


def code_digest(folder: Path) -> str:
    """Of the code that makes decoded rows, that of a task's folder and this module: `datasets` would not notice its
    change and reuse what older code made."""
    sources = [*folder.glob("*.py"), Path(__file__)]
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(sources))).hexdigest()[:16]


def open_image(cell: Any) -> PILImage.Image | np.ndarray:
    """What an image column holds, undecoded by `datasets` so that a broken file can be named: a PIL image or array."""
    if isinstance(cell, dict) and ("bytes" in cell or "path" in cell):
        cell = BytesIO(cell["bytes"]) if cell.get("bytes") else cell["path"]
    if isinstance(cell, (str, Path, BytesIO)):
        image = PILImage.open(cell)
        image.load()  # a truncated file fails here
        ImageOps.exif_transpose(image, in_place=True)  # upright, as `datasets` and the pipelines of transformers see it
        return image
    if cell is None:
        raise ValueError("it is missing")
    return cell if isinstance(cell, PILImage.Image) else np.asarray(cell)
