"""Training pictures, a benchmark in columns, a VGG16 with random weights, and the recipe run on them."""

import json
from functools import partial
from pathlib import Path

import pytest
import safetensors.torch
import timm
import torch
from conftest import run_tiny_recipe
from datasets import Dataset, Features
from datasets import Image as ImageFeature
from pictures import draw_picture, save_pictures
from PIL import Image

from hf_recipes.super_resolution.resize import resize_bicubic


@pytest.fixture(scope="session")
def pictures(tmp_path_factory) -> Path:
    """A folder `photos` of training pictures and beside it a benchmark `bench`."""
    folder = tmp_path_factory.mktemp("pictures")
    save_pictures(folder / "photos/train", 10)
    rows = {"hr_x2": [], "lr_x2": []}
    for seed in (100, 101, 102):
        high = draw_picture(seed)
        rows["hr_x2"].append(Image.fromarray(high))
        rows["lr_x2"].append(Image.fromarray(resize_bicubic(high, 1 / 2)))
    (folder / "bench").mkdir()
    features = Features({name: ImageFeature() for name in rows})
    Dataset.from_dict(rows, features=features).to_parquet(folder / "bench/test.parquet")
    return folder


@pytest.fixture(scope="session")
def vgg(tmp_path_factory) -> Path:
    """VGG16 with random weights as a repository of timm."""
    folder = tmp_path_factory.mktemp("vgg")
    torch.manual_seed(0)
    model = timm.create_model("vgg16", num_classes=0)
    weights = {name: value for name, value in model.state_dict().items() if name.startswith("features")}
    safetensors.torch.save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    cfg = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "input_size": [3, 224, 224]}
    cfg |= {"first_conv": "features.0", "classifier": "head.fc", "num_classes": 1000}
    config = {"architecture": "vgg16", "num_classes": 1000, "pretrained_cfg": cfg}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="session")
def run_upscaler(pictures):
    """`run_upscaler(folder, **options)` runs the recipe on the pictures in this process."""
    tiny = {
        "dataset": pictures / "photos",
        "benchmarks": ["bench"],
        "validation_size": 2,
        "patch_size": 32,
        "width": 8,
        "blocks": 1,
        "lpips": False,
        "per_device_train_batch_size": 4,
        "per_device_eval_batch_size": 1,
        "num_train_epochs": 150,
        "eval_strategy": "no",
        "save_strategy": "no",
        "learning_rate": 0.005,
        "precision": "fp32",
        "seed": 1,
    }

    return partial(run_tiny_recipe, "super_resolution", tiny)


@pytest.fixture(scope="session")
def upscaler_run(run_upscaler, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("upscaler") / "light"
    run_upscaler(folder)
    return folder
