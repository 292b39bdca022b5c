"""Checks on the skin lesions and with the pretrained networks of the study; run by `make test-hub`."""

import os

import numpy as np
import pytest
from conftest import ROOT, run_python
from PIL import Image

pytestmark = pytest.mark.hub


def test_lesions_are_split_by_class_and_duplicates_stay_together():
    from hf_recipes.transfer_learning.data import load_images

    images = load_images("local/isic9", redraw=True, seed=0)
    splits = images.splits
    assert len(images.names) == 9 and sum(map(len, splits.values())) + images.dropped == 2200
    shares = [np.bincount(split["label"], minlength=9) / len(split) for split in splits.values()]
    assert np.abs(np.array(shares) - shares[0]).max() < 0.02
    sizes = {name: round(len(split) / 2200, 2) for name, split in splits.items()}
    assert sizes == {"train": 0.7, "validation": 0.15, "test": 0.15}


@pytest.mark.parametrize(
    ("config", "backbone"),
    [
        ("linear_probe", "timm/tf_efficientnet_lite0.in1k"),
        ("full", "timm/tf_efficientnet_lite0.in1k"),
        ("full", "timm/tf_efficientnet_lite2.in1k"),
    ],
)
def test_train_push_and_load_by_transformers_and_timm(config, backbone, compare_loaders, tmp_path):
    words = ["--config", ROOT / f"recipes/transfer_learning/{config}.yaml", "--dataset", "local/isic9"]
    words += ["--backbone", backbone, "--max_steps", "3", "--eval_strategy", "no", "--output_dir", tmp_path / "run"]
    words += ["--push_to_hub", "--hub_model_id", "local/test-lesions"]
    environment = {"HF_TOKEN": os.environ.get("HF_TOKEN", "hf_local"), "HF_HUB_OFFLINE": "0"}
    run_python(ROOT / "recipes/transfer_learning.py", *words, env=environment)
    pixels = np.random.default_rng(0).integers(0, 256, (300, 417, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    found = compare_loaders("local/test-lesions", tmp_path / "photo.png", env=environment)
    assert found == "True True (3, 180, 180)"
