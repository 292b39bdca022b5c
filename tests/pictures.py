"""Small pictures with sharp edges and fine detail."""

from pathlib import Path

import numpy as np
from PIL import Image


def draw_picture(seed: int, height: int = 48, width: int = 64, fine: int = 4) -> np.ndarray:
    """uint8 `(height, width, 3)`: discs of slanted stripes in colours, drawn `fine` times as large, so that edges are as soft as a
    lens makes them."""
    generator = np.random.default_rng(seed)
    y, x = (np.mgrid[: height * fine, : width * fine] + 0.5) / fine
    picture = np.full((height * fine, width * fine, 3), generator.integers(60, 200, 3), float)
    for _ in range(6):
        centre, radius = generator.uniform([0, 0], [height, width]), generator.uniform(5, 18)
        inside = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < radius**2
        angle, period = generator.uniform(0, np.pi), generator.uniform(5, 12)
        stripes = np.sin((y * np.sin(angle) + x * np.cos(angle)) * 2 * np.pi / period) > 0
        picture[inside & stripes] = generator.integers(0, 255, 3)
        picture[inside & ~stripes] = generator.integers(0, 255, 3)
    return picture.reshape(height, fine, width, fine, 3).mean((1, 3)).astype(np.uint8)


def save_pictures(folder: Path, number: int, seed: int = 0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(number):
        height, width = ((48, 64), (64, 48))[index % 2]
        Image.fromarray(draw_picture(seed + index, height, width)).save(folder / f"{index:02d}.png")
    return folder
