"""From annotations to density maps: cells per pixel, so that the sum of a map is the count of its image."""

import numpy as np
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.measure import label as connected_components
from skimage.segmentation import watershed


def points_to_density(points: np.ndarray, shape: tuple[int, int], sigma: float) -> np.ndarray:
    """A Gaussian of mass 1 around each cell's centre (Lempitsky & Zisserman 2010).

    Args:
        points: `(cells, 2)`, (x, y) in pixels, inside the image: `0 <= x < width`, `0 <= y < height`.
        shape: (height, width) in pixels.
        sigma: standard deviation of the Gaussian in pixels.

    Returns:
        float32 `(height, width)`.

    Raises:
        ValueError: for points outside the image or NaN, with the first of them, and for anything but pairs.
    """
    points = as_points(points)
    outside = outside_points(points, shape)
    if outside.any():
        x, y = points[outside][0]
        raise ValueError(
            f"{outside.sum()} of {len(points)} points lie outside the image of {shape[1]} x {shape[0]} pixels "
            f"(width x height), the first at x={x:g}, y={y:g}"
        )
    mass = np.zeros(shape)
    # a centre at 31.7 lies in pixel 31: a pixel's own coordinates reach from 31 to 32
    np.add.at(mass, (points[:, 1].astype(int), points[:, 0].astype(int)), 1)
    return spread(mass, sigma)


def as_points(points) -> np.ndarray:
    """float64 `(cells, 2)`; boxes or points with a class are refused and not read as more points."""
    points = np.asarray(points, np.float64)
    if points.size == 0:
        return np.zeros((0, 2))
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"points are pairs [x, y], an array of (cells, 2); got one of {points.shape}")
    return points


def outside_points(points: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Which of the points `(cells, 2)`, (x, y), lie outside an image of (height, width): bool `(cells,)`."""
    points = as_points(points)
    height, width = shape
    inside = (points >= 0).all(1) & (points[:, 0] < width) & (points[:, 1] < height)
    return ~inside  # NaN is not inside


def spread(mass: np.ndarray, sigma: float) -> np.ndarray:
    """Blur `(height, width)` with a Gaussian that loses nothing at the border.

    What a place would send over the border is sent to its neighbours inside instead: the mass is divided by the share
    of the Gaussian that stays inside before it is blurred, so every place keeps its mass exactly.
    """
    if sigma <= 0:
        return mass.astype(np.float32)
    inside = ndimage.gaussian_filter(np.ones(mass.shape), sigma, mode="constant")
    return ndimage.gaussian_filter(mass / inside, sigma, mode="constant").astype(np.float32)


def dots_to_points(dots: np.ndarray) -> np.ndarray:
    """Centres `(cells, 2)`, (x, y), from an image `(height, width)` with a dot on each cell, any value above 0.

    If most dots are single pixels, every pixel is a cell, so that two dots side by side stay two; larger dots are
    cells by connected component.

    Raises:
        ValueError: when more than half of the image is above 0, as where dots are black on white.
    """
    if (dots > 0).mean() > 0.5:
        raise ValueError("more than half of its pixels are above 0; dots are bright on a background of 0")
    components, number = connected_components(dots > 0, return_num=True, connectivity=2)
    if number == 0:
        return np.zeros((0, 2))
    if np.median(np.bincount(components.ravel())[1:]) <= 1:
        return np.argwhere(dots > 0)[:, ::-1].astype(np.float64)
    centres = ndimage.center_of_mass(components > 0, components, np.arange(1, number + 1))
    return np.asarray(centres)[:, ::-1]


def split_touching(mask: np.ndarray) -> np.ndarray:
    """Instances `(height, width)`, 0 for background, from a binary mask: a watershed from the peaks of the distance to
    the background, at least half a typical cell's radius apart."""
    mask = np.pad(mask > 0, 1)  # so that the border of the image is background and a cell cut by it has a peak
    distance = ndimage.distance_transform_edt(mask)
    components = connected_components(mask, connectivity=1)
    radii = ndimage.maximum(distance, components, np.arange(1, components.max() + 1)) if components.any() else [1]
    apart = max(1, round(0.5 * float(np.median(radii))))
    peaks = peak_local_max(ndimage.gaussian_filter(distance, 1), min_distance=apart, labels=components)
    markers = np.zeros(mask.shape, int)
    markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    return watershed(-distance, markers, mask=mask)[1:-1, 1:-1]


def instances_to_density(instances: np.ndarray, sigma: float) -> np.ndarray:
    """Each instance's mass of 1 spread evenly over its pixels, then blurred by `sigma`: float32 `(height, width)`."""
    _, labels = np.unique(instances, return_inverse=True)
    labels = labels.reshape(instances.shape) + (0 if (instances == 0).any() else 1)
    areas = np.bincount(labels.ravel()).astype(np.float64)
    return spread(np.where(labels > 0, 1 / np.maximum(areas, 1)[labels], 0), sigma)


def mask_to_density(mask: np.ndarray, kind: str, sigma: float) -> np.ndarray:
    """Every cell's mass of 1 over its pixels: float32 `(height, width)`.

    `mask` is `(height, width)`, 0 for background. `kind` is `instances` (a value per cell), `binary` (cells above 0, touching ones are split here) or `mask`, which is
    binary if it holds at most two values.
    """
    binary = kind == "binary" or (kind == "mask" and len(np.unique(mask)) <= 2)
    return instances_to_density(split_touching(mask) if binary else mask, sigma)
