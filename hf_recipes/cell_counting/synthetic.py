"""A deterministic simulator of fluorescence microscopy, so that the recipes run without any download.

After the idea of SIMCEP (Lehmussola et al. 2007), which made the VGG cells: blurred ellipses of varied size and
brightness that overlap and lie out of focus, on an uneven background, darkened to the corners, with shot noise.
"""

import numpy as np

SIZE = 192


def simulate_cells(number: int, seed: int, size: int = SIZE) -> list[dict]:
    """`number` images, each `{"image", "points", "mask", "name"}`; the same seed gives the same images.

    `image` is uint8 `(size, size)`, `points` the centres as [x, y] in pixels, `mask` uint16 `(size, size)` with 0 for
    background and the cell's number (the upper cell where two overlap, so a cell can be hidden).
    """
    return [simulate_image(np.random.default_rng([seed, index]), size, index) for index in range(number)]


def simulate_image(rng: np.random.Generator, size: int, index: int) -> dict:
    cells = int(rng.integers(10, 120) * (size / SIZE) ** 2)
    centres = place_cells(rng, cells, size)
    radii = rng.normal(5.5, 0.8, cells).clip(3.5, 8)
    light, mask = np.zeros((size, size)), np.zeros((size, size), np.uint16)
    for number, ((x, y), radius) in enumerate(zip(centres, radii), 1):
        add_cell(rng, light, mask, number, x, y, radius)
    rows, columns = np.mgrid[:size, :size] / size - 0.5
    waves = rng.uniform(-1.5, 1.5, (4, 2)) @ np.stack([rows.ravel(), columns.ravel()])  # periods over the image
    background = 0.06 + 0.01 * np.cos(2 * np.pi * (waves + rng.uniform(0, 1, (4, 1)))).sum(0).reshape(size, size)
    vignette = 1 - rng.uniform(0.2, 0.5) * (rows**2 + columns**2)
    photons = rng.uniform(120, 400)  # at full brightness: few photons, more noise
    expected = np.clip((light + background) * vignette, 0, None)
    image = rng.poisson(expected * photons) / photons + rng.normal(0, 0.01, (size, size))
    return {
        "image": (255 * np.clip(image / 1.6, 0, 1)).astype(np.uint8),
        "points": centres.tolist(),
        "mask": mask,
        "name": f"synthetic-{index:04d}",
    }


def place_cells(rng: np.random.Generator, cells: int, size: int) -> np.ndarray:
    """Centres `(cells, 2)`, (x, y): half of them alone, half in clusters whose cells touch and overlap."""
    alone = rng.uniform(0, size, (cells - cells // 2, 2))
    hubs = alone[rng.integers(0, len(alone), cells // 2)]
    return np.concatenate([alone, hubs + rng.normal(0, 9, hubs.shape)]).clip(0, size - 1e-3)


def add_cell(
    rng: np.random.Generator, light: np.ndarray, mask: np.ndarray, number: int, x: float, y: float, radius: float
) -> None:
    """Draw one cell into `light` and `mask` in place, inside a window around it."""
    reach, (height, width) = int(3 * radius), light.shape
    top, left = max(int(y) - reach, 0), max(int(x) - reach, 0)
    window = np.s_[top : min(int(y) + reach + 1, height), left : min(int(x) + reach + 1, width)]
    rows, columns = np.mgrid[window]
    angle, stretch = rng.uniform(0, np.pi), rng.uniform(0.8, 1.25)
    across = (columns + 0.5 - x) * np.cos(angle) + (rows + 0.5 - y) * np.sin(angle)
    along = (rows + 0.5 - y) * np.cos(angle) - (columns + 0.5 - x) * np.sin(angle)
    distance = np.hypot(across * stretch, along / stretch)
    inside = distance <= radius
    inside[int(y) - top, int(x) - left] = True  # a cell at the border keeps at least the pixel of its centre
    out_of_focus = rng.uniform(0.6, 2.2)
    brightness = rng.uniform(0.35, 1.0)
    light[window] += brightness / (1 + np.exp((distance - radius) / (0.5 * out_of_focus)))
    mask[window][inside] = number
