"""Checks on CIFAR-10 itself; run by `make test-hub`."""

import os

import numpy as np
import pytest
from conftest import ROOT, run_python
from PIL import Image

pytestmark = pytest.mark.hub


def test_cifar10_is_split_by_class():
    from hf_recipes.cifar10.data import load_images, make_processor

    splits, names, image_format, tested_on = load_images("uoft-cs/cifar10", make_processor(32))
    assert tested_on is None
    assert {name: len(split) for name, split in splits.items()} == {"train": 45000, "validation": 5000, "test": 10000}
    assert names[0] == "airplane" and len(names) == 10 and image_format.startswith(("PNG", "JPEG"))
    for name, split in splits.items():
        assert len(set(np.bincount(split["label"]))) == 1, name
    train, validation = set(splits["train"]["index"]), set(splits["validation"]["index"])
    assert len(train | validation) == 50000


def test_train_push_and_classify_a_photograph(tmp_path):
    words = ["--config", ROOT / "recipes/cifar10/fast_cnn.yaml", "--max_steps", "4", "--output_dir", tmp_path / "run"]
    words += ["--push_to_hub", "--hub_model_id", "local/test-cifar"]
    environment = {"HF_TOKEN": os.environ.get("HF_TOKEN", "hf_local"), "HF_HUB_OFFLINE": "0"}
    run_python(ROOT / "recipes/cifar10.py", *words, env=environment)
    assert "CIFAR-10" in (tmp_path / "run/README.md").read_text()
    pixels = np.random.default_rng(0).integers(0, 256, (300, 417, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    script = f"""
import sys; sys.modules["hf_recipes"] = None
from transformers import pipeline
classify = pipeline("image-classification", model="local/test-cifar", trust_remote_code=True)
print(round(sum(each["score"] for each in classify({str(tmp_path / "photo.png")!r}, top_k=10)), 3))
"""
    assert run_python("-c", script, env=environment).stdout.split()[-1] == "1.0"
