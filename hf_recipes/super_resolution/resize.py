"""Interpolation as MATLAB's `imresize` does it, by which the field makes its small images; and Lanczos, PIL's."""

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F


def resize_bicubic(image: np.ndarray, factor: float) -> np.ndarray:
    """Bicubic with a = -0.5, antialiased where the image gets smaller, mirrored at the border.

    torch's antialiased kernel is MATLAB's; at the border it leaves out what is not there, while MATLAB mirrors.

    Args:
        image: uint8 `(height, width, channels)`, whose sides times `factor` are whole.
        factor: of the sides: 2, 3, 4, or 1/2, 1/3, 1/4.
    """
    step = round(max(1 / factor, 1))  # pixels of the image for one of the result, if it gets smaller
    margin = 4 * step  # a whole number of pixels of the result, and more than the kernel's half width
    padded = np.pad(image, ((margin, margin), (margin, margin), (0, 0)), mode="symmetric")
    tensor = torch.from_numpy(padded).movedim(-1, 0)[None].double()
    size = [round(side * factor) for side in padded.shape[:2]]
    resized = F.interpolate(tensor, size, mode="bicubic", antialias=True)[0].movedim(0, -1)
    cut = round(margin * factor)
    height, width = (round(side * factor) for side in image.shape[:2])
    return to_uint8(resized[cut : cut + height, cut : cut + width].numpy())


def resize_lanczos(image: np.ndarray, factor: float) -> np.ndarray:
    """Lanczos with three lobes, of uint8 `(height, width, 3)`."""
    size = [round(side * factor) for side in image.shape[1::-1]]
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))


def to_uint8(values: np.ndarray) -> np.ndarray:
    """Rounded and cut to 0..255."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
