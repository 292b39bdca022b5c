import numpy as np
import pytest

from hf_recipes.cell_counting.density import (
    dots_to_points,
    instances_to_density,
    mask_to_density,
    points_to_density,
    split_touching,
    spread,
)
from hf_recipes.cell_counting.synthetic import simulate_cells


def disk(shape, x, y, radius):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return (columns - x) ** 2 + (rows - y) ** 2 <= radius**2


@pytest.mark.parametrize("sigma", [0.0, 1.0, 2.5, 8.0])
def test_every_cell_has_mass_one_also_at_the_border(sigma):
    points = np.array([[0, 0], [59.9, 39.9], [30, 20], [30, 20], [0.2, 39.5]])
    density = points_to_density(points, (40, 60), sigma)
    assert density.dtype == np.float32 and density.shape == (40, 60)
    assert density.sum(dtype=np.float64) == pytest.approx(5, abs=1e-3)
    for point in points:
        assert points_to_density(point[None], (40, 60), sigma).sum() == pytest.approx(1, abs=1e-4)


def test_the_mass_lies_where_the_point_is():
    density = points_to_density(np.array([[12.7, 31.2]]), (50, 50), 2)
    assert np.unravel_index(density.argmax(), density.shape) == (31, 12)


def test_no_cells_no_density():
    assert points_to_density(np.zeros((0, 2)), (8, 8), 2).sum() == 0
    assert mask_to_density(np.zeros((8, 8), np.uint8), "mask", 2).sum() == 0
    assert len(dots_to_points(np.zeros((8, 8)))) == 0


@pytest.mark.parametrize("point", [(-0.1, 3), (10, 3), (3, 10), (np.nan, 3)])
def test_points_outside_are_refused(point):
    with pytest.raises(ValueError, match=r"1 of 2 points .* 10 x 10 pixels"):
        points_to_density(np.array([[5, 5], point]), (10, 10), 1)


def test_dots_of_one_pixel_and_larger_ones():
    dots = np.zeros((20, 20), np.uint8)
    dots[3, 4] = dots[10, 10] = dots[10, 11] = dots[15, 2] = 255  # two side by side are two cells
    assert sorted(map(tuple, dots_to_points(dots))) == [(2, 15), (4, 3), (10, 10), (11, 10)]
    large = (disk((40, 40), 10, 10, 3) | disk((40, 40), 30, 25, 3)).astype(np.uint8)
    assert sorted(map(tuple, dots_to_points(large).round())) == [(10, 10), (30, 25)]


def test_touching_cells_are_split():
    shape = (60, 90)
    mask = disk(shape, 20, 30, 10) | disk(shape, 37, 30, 10) | disk(shape, 70, 20, 9) | disk(shape, 84, 55, 8)
    instances = split_touching(mask)
    assert instances.shape == shape and len(np.unique(instances)) == 5
    assert np.array_equal(instances > 0, mask)
    assert instances[30, 20] != instances[30, 37]
    density = mask_to_density(mask.astype(np.uint8) * 255, "mask", 1.0)
    assert density.sum(dtype=np.float64) == pytest.approx(4, abs=1e-3)
    assert density[:, :28].sum() == pytest.approx(1, abs=0.05)


def test_a_mask_of_many_values_can_be_read_as_binary():
    mask = disk((60, 90), 20, 30, 10) * 3 + disk((60, 90), 70, 20, 9) * 5
    mask[30, 25] = 4
    assert mask_to_density(mask, "mask", 1.0).sum() == pytest.approx(3, abs=1e-3)
    assert mask_to_density(mask, "binary", 1.0).sum() == pytest.approx(2, abs=1e-3)


def test_instances_keep_their_mass():
    instances = np.zeros((30, 30), np.uint16)
    instances[:10, :10], instances[20:, 25:], instances[15, 15] = 3, 900, 7
    for sigma in (0, 2):
        assert instances_to_density(instances, sigma).sum(dtype=np.float64) == pytest.approx(3, abs=1e-3)


def test_spreading_keeps_any_mass():
    mass = np.random.default_rng(0).random((33, 21))
    assert spread(mass, 3.0).sum(dtype=np.float64) == pytest.approx(mass.sum(), rel=1e-6)


def test_the_simulator_is_deterministic_and_consistent():
    first, second = simulate_cells(2, seed=4), simulate_cells(2, seed=4)
    for one, two in zip(first, second):
        assert np.array_equal(one["image"], two["image"]) and one["points"] == two["points"]
        assert one["image"].dtype == np.uint8 and 20 < np.quantile(one["image"], 0.99) <= 255
        points = np.array(one["points"]).astype(int)
        visible = len(np.unique(one["mask"])) - 1
        assert 0.8 * len(points) <= visible <= len(points)
        inside = one["mask"][points[:, 1], points[:, 0]]
        assert (inside > 0).all()
    assert not np.array_equal(first[0]["image"], simulate_cells(1, seed=5)[0]["image"])
