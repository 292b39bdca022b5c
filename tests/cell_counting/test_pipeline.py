import functools
import http.server
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch
from conftest import ROOT
from datasets import Dataset
from PIL import Image
from transformers.pipelines.pt_utils import KeyDataset

from hf_recipes import CellCounter, CellCounterConfig, CellCounterImageProcessor, CellCountingPipeline
from hf_recipes.images import open_image


def make_pipeline(architecture="unet", channels=1, **options):
    torch.manual_seed(1)
    options = {"widths": [8, 8, 8], "image_size": [64, 64]} | options
    model = CellCounter(CellCounterConfig(architecture=architecture, num_channels=channels, **options))
    if architecture == "unet":
        torch.nn.init.constant_(model.network.head.bias, 2.0)  # some cells everywhere
    return CellCountingPipeline(
        model=model, image_processor=CellCounterImageProcessor(num_channels=channels), device="cpu"
    )


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture(scope="module")
def counter():
    return make_pipeline()


def test_every_input_gives_the_same_count(counter, tmp_path):
    array = noise(64, 64)
    Image.fromarray(array).save(tmp_path / "image.png")
    expected = counter(array)["count"]
    data = Dataset.from_dict({"image": [str(tmp_path / "image.png")] * 3})
    assert counter(Image.fromarray(array))["count"] == expected
    assert counter(str(tmp_path / "image.png"))["count"] == expected
    assert [row["count"] for row in counter([array, Image.fromarray(array)])] == [expected] * 2
    assert [row["count"] for row in counter(KeyDataset(data, "image"), batch_size=2)] == pytest.approx([expected] * 3)
    assert [row["count"] for row in counter(array for _ in range(2))] == [expected] * 2


def test_batches_of_mixed_sizes_count_as_alone(counter):
    images = [noise(64, 64), noise(33, 70, seed=1), noise(64, 64, seed=2), noise(20, 20, seed=3)]
    alone = [counter(image)["count"] for image in images]
    assert [row["count"] for row in counter(images, batch_size=4)] == pytest.approx(alone, rel=1e-5)


def test_density_and_overlay(counter):
    image = noise(50, 70)
    result = counter(image, return_density=True, return_overlay=True)
    assert result["density"].shape == (50, 70) and result["overlay"].size == (70, 50)
    assert result["density"].sum() == pytest.approx(result["count"], rel=1e-4)
    assert set(counter(image)) == {"count"}


def test_tiles_count_no_cell_twice_and_see_their_surroundings():
    counter = make_pipeline(widths=[8, 8, 8])
    head = counter.model.network.head
    torch.nn.init.normal_(head.weight, std=20.0)  # so that the density follows the image, as that of a trained network
    image = np.kron(noise(64, 64), np.ones((16, 16), np.uint8))  # blobs, which tiles without surroundings cut
    whole = counter(image, tile_size=4096, return_density=True)

    def error(overlap):
        tiled = counter(image, tile_size=200, overlap=overlap, return_density=True)
        assert tiled["density"].sum(dtype=np.float64) == pytest.approx(tiled["count"], rel=1e-4)
        return np.abs(tiled["density"] - whole["density"]).max() / np.abs(whole["density"]).max()

    assert whole["density"].std() > 0.1 * np.abs(whole["density"]).mean()
    assert error(64) < 0.01 < 0.1 < error(0)


MEASURE = """
import resource, numpy as np
from hf_recipes.cell_counting.pipeline_cell_counting import draw_overlay
from test_pipeline import CellCounterImageProcessor, make_pipeline
counter = make_pipeline(widths=[16, 16, 16])
counter(np.eye(64, dtype=np.uint8), return_overlay=True)
{prepare}
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
{measured}
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1e6)
"""


@pytest.mark.parametrize(("prepare", "measured", "most"), [
    ("image = np.zeros((2048, 2048), np.uint8); image[::7] = 90", "assert counter(image)['count'] > 0", 0.3),
    ("image = np.ones((4096, 4096, 3), np.uint8)", "CellCounterImageProcessor(num_channels=1).to_array(image)", 0.5),
    ("image, density = np.ones((4096, 4096, 3), np.uint8), np.ones((4096, 4096), np.float32)", "draw_overlay(image, density)", 0.5),
])  # fmt: skip
def test_a_large_image_needs_little_memory(prepare, measured, most):
    """Gigabytes above the model's own and the image's, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE.format(prepare=prepare, measured=measured)], capture_output=True, text=True,
        cwd=ROOT / "tests/cell_counting",
        env={"PYTHONPATH": f"{ROOT}/tests:{ROOT}/tests/cell_counting", "OMP_NUM_THREADS": "2", "PATH": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert float(done.stdout) < most, done.stdout


def test_the_regressors_never_tile():
    counter = make_pipeline("regressor", widths=[4, 4])
    assert isinstance(counter(noise(64, 64))["count"], float)
    with pytest.raises(ValueError, match="64 x 64 pixels only"):
        counter(noise(1024, 1024))
    with pytest.raises(ValueError, match="only the 'unet'"):
        counter(noise(64, 64), return_density=True)


def test_an_image_of_one_value_holds_no_cells(counter):
    black = counter(np.zeros((64, 64), np.uint8), return_density=True, return_overlay=True)
    assert black["count"] == 0 and not black["density"].any()


def test_counts_are_not_below_zero():
    counter = make_pipeline()
    torch.nn.init.constant_(counter.model.network.head.bias, -9.0)
    assert counter(noise(64, 64))["count"] == 0


def test_urls_keep_the_depth_of_the_image(counter, tmp_path):
    array = noise(40, 40).astype(np.uint16) * 257
    Image.fromarray(array).save(tmp_path / "deep.png")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        assert counter(f"{address}/deep.png")["count"] == counter(array)["count"]
        with pytest.raises(ValueError, match=r"none\.png: the server answered 404"):
            counter(f"{address}/none.png")
        server.shutdown()


def test_an_image_is_read_upright(counter, tmp_path):
    lying, exif = Image.fromarray(noise(40, 64)), Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter to stand upright
    lying.save(tmp_path / "lying.png", exif=exif)
    assert counter(str(tmp_path / "lying.png"), return_density=True)["density"].shape == (64, 40)
    assert open_image(str(tmp_path / "lying.png")).size == (40, 64)


def test_bad_images_are_named(counter, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n not really")
    whole = tmp_path / "whole.png"
    Image.fromarray(noise(64, 64)).save(whole)
    (tmp_path / "truncated.png").write_bytes(whole.read_bytes()[:900])
    for name in ("broken.png", "truncated.png", "missing.png"):
        for path in (str(tmp_path / name), tmp_path / name):
            with pytest.raises(ValueError, match=rf"cannot count in .*{name}"):
                counter(path)
    with pytest.raises(ValueError, match="NaN"):
        counter(np.full((64, 64), np.nan))
