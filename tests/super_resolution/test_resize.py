import numpy as np
import pytest
from pictures import draw_picture
from PIL import Image

from hf_recipes.super_resolution.resize import resize_bicubic, resize_lanczos


def cubic(x: np.ndarray) -> np.ndarray:
    x = abs(x)
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0))


def imresize_rows(image: np.ndarray, factor: float) -> np.ndarray:
    """MATLAB's imresize along the first axis, as its source describes it: each output pixel by itself."""
    length = image.shape[0]
    out = []
    for place in range(round(length * factor)):
        centre = (place + 0.5) / factor - 0.5
        support = 2 / min(factor, 1)
        taps = np.arange(int(np.floor(centre - support)), int(np.ceil(centre + support)) + 1)
        weights = cubic((centre - taps) * min(factor, 1))
        mirrored = np.concatenate([np.arange(length), np.arange(length)[::-1]])[taps % (2 * length)]
        out.append(np.tensordot(weights / weights.sum(), image[mirrored].astype(float), 1))
    return np.array(out)


@pytest.mark.parametrize("factor", [2, 3, 4, 1 / 2, 1 / 3, 1 / 4])
def test_bicubic_is_that_of_matlab_up_to_the_border(factor):
    image = draw_picture(3, 48, 36)
    expected = imresize_rows(imresize_rows(image, factor).swapaxes(0, 1), factor).swapaxes(0, 1)
    found = resize_bicubic(image, factor)
    assert found.shape == expected.shape and found.dtype == np.uint8
    assert abs(found - expected.clip(0, 255)).max() <= 0.5 + 1e-6


def test_lanczos_is_that_of_pil():
    image = draw_picture(4)
    expected = Image.fromarray(image).resize((128, 96), Image.Resampling.LANCZOS)
    assert (resize_lanczos(image, 2) == np.asarray(expected)).all()
