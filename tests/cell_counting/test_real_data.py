"""Checks on the study's real data; run by `make test-hub`."""

import os

import numpy as np
import pytest
from conftest import ROOT, run_python

pytestmark = pytest.mark.hub
SIZES = {"local/vgg-cells": (100, 100, (256, 256, 3)), "local/mbm-cells": (30, 14, (600, 600, 3))}


@pytest.mark.parametrize("name", SIZES)
def test_the_density_of_every_image_sums_to_its_count(name):
    from datasets import load_dataset

    from hf_recipes import CellCounterImageProcessor
    from hf_recipes.cell_counting.data import load_cells

    train, test, shape = SIZES[name]
    splits = load_cells(name, CellCounterImageProcessor(), train_size=train - 5, validation_size=5)
    assert (len(splits["train"]), len(splits["validation"]), len(splits["test"])) == (train - 5, 5, test)
    raw = load_dataset(name, split="test").remove_columns("image")
    counts = raw["count"] if "count" in raw.column_names else [len(points) for points in raw["points"]]
    assert np.allclose(splits["test"]["count"], counts, atol=1e-3)
    assert tuple(splits["test"][0]["shape"]) == shape


def test_train_push_and_load(tmp_path):
    words = ["--config", ROOT / "recipes/cell_counting/unet.yaml", "--dataset", "local/vgg-cells", "--max_steps", "4"]
    words += ["--output_dir", tmp_path / "run", "--push_to_hub", "--hub_model_id", "local/test-cell-counter"]
    environment = {"HF_TOKEN": os.environ.get("HF_TOKEN", "hf_local"), "HF_HUB_OFFLINE": "0"}
    run_python(ROOT / "recipes/cell_counting.py", *words, env=environment)
    card = (tmp_path / "run/README.md").read_text()
    assert "local/vgg-cells" not in card and "VGG synthetic cells" in card
    script = """
import sys; sys.modules["hf_recipes"] = None
from huggingface_hub import hf_hub_download
from transformers import pipeline
counter = pipeline("cell-counting", model="local/test-cell-counter", trust_remote_code=True)
print(counter(hf_hub_download("local/test-cell-counter", "example.png")))
"""
    assert "count" in run_python("-c", script, env=environment).stdout
