"""A small data set of three shapes, and the CIFAR-10 recipe run on it."""

from pathlib import Path

import numpy as np
import pytest
from conftest import load_recipe, run_recipe
from PIL import Image

CLASSES = ("circle", "cross", "stripes")


def draw_shape(name: str, generator: np.random.Generator, size: int = 16) -> Image.Image:
    """A small picture of one of the classes, in random colours and with noise."""
    y, x = np.mgrid[:size, :size] - size / 2 + 0.5
    shape = {
        "circle": abs(np.hypot(x, y) - size / 4) < 2,
        "cross": (abs(x - y) < 2) | (abs(x + y) < 2),
        "stripes": (np.arange(size) + generator.integers(4))[:, None] % 4 < 2,
    }[name]
    colors = generator.integers(0, 256, (2, 3))
    pixels = np.where(np.broadcast_to(shape, (size, size))[..., None], *colors)
    return Image.fromarray((pixels + generator.normal(0, 8, pixels.shape)).clip(0, 255).astype(np.uint8))


@pytest.fixture(scope="session")
def shapes(tmp_path_factory) -> Path:
    """A data set in folders of classes: 20 images of each train, 8 test."""
    folder, generator = tmp_path_factory.mktemp("shapes"), np.random.default_rng(0)
    for split, images in (("train", 20), ("test", 8)):
        for name in CLASSES:
            (folder / split / name).mkdir(parents=True)
            for number in range(images):
                draw_shape(name, generator).save(folder / split / name / f"{number:02d}.png")
    return folder


@pytest.fixture(scope="session")
def cifar_recipe():
    return load_recipe("cifar10")


@pytest.fixture(scope="session")
def run_shapes(cifar_recipe, shapes):
    """`run_shapes(folder, **options)` runs the recipe on the shapes in this process."""
    tiny = {
        "dataset": shapes,
        "image_size": 16,
        "architecture": "fast_cnn",
        "widths": [16, 32],
        "whitening": 2,
        "validation_share": 0.15,
        "per_device_train_batch_size": 10,
        "dataloader_drop_last": True,
        "num_train_epochs": 8,
        "learning_rate": 0.01,
        "flip": "alternating",
        "translate": 1,
        "label_smoothing": 0.1,
        "muon_learning_rate": 0.1,
        "precision": "fp32",
        "seed": 1,
    }

    def call(folder: Path, **changes):
        return run_recipe(cifar_recipe, **tiny | {"output_dir": folder} | changes)

    return call


@pytest.fixture(scope="session")
def classifier_run(run_shapes, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("classifier") / "fast_cnn"
    run_shapes(folder)
    return folder
