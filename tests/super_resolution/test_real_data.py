"""The protocol on the benchmarks themselves; needs HF_ENDPOINT."""

import numpy as np
import pytest

from hf_recipes.super_resolution.data import load_benchmark, to_arrays
from hf_recipes.super_resolution.metrics import PUBLISHED_BICUBIC, judge
from hf_recipes.super_resolution.resize import resize_bicubic

pytestmark = pytest.mark.hub


@pytest.mark.parametrize(
    ("benchmark", "scale"),
    [("set5", 2), ("set5", 3), ("set5", 4), ("set14", 2), ("set14", 3), ("set14", 4), ("bsd100", 2), ("bsd100", 4)],
)
def test_bicubic_interpolation_has_its_published_psnr(benchmark, scale):
    found = []
    for row in load_benchmark(f"local/{benchmark}", scale):
        low, high = to_arrays(row, scale)
        found.append(judge(resize_bicubic(low, scale), high, scale)["psnr"])
    assert np.mean(found) == pytest.approx(PUBLISHED_BICUBIC[benchmark][scale], abs=0.1)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_small_images_are_those_of_matlab(scale):
    for row in load_benchmark("local/set5", scale):
        low, high = to_arrays(row, scale)
        error = ((resize_bicubic(high, 1 / scale).astype(float) - low) ** 2).mean()
        assert 10 * np.log10(255**2 / max(error, 1e-9)) > 50
