"""Tiny networks of timm in folders, as the Hub has them, and the recipe run with one of them on small pictures."""

import json
from functools import partial
from pathlib import Path

import pytest
import safetensors.torch
import timm
import torch
from conftest import run_python, run_tiny_recipe

from hf_recipes.intervals import resample
from hf_recipes.transfer_learning import analysis

# what an image is taken for by transformers, by timm and by the pipeline; prints whether all agree to 1e-4, and timm's input size
COMPARE_LOADERS = """
import sys; sys.modules["hf_recipes"] = None
import timm, torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForImageClassification, pipeline
repository, file = sys.argv[1:]
image = Image.open(file).convert("RGB")
ours = AutoModelForImageClassification.from_pretrained(repository).eval()
other = timm.create_model(f"hf-hub:{repository}", pretrained=True).eval()
transform = timm.data.create_transform(**timm.data.resolve_model_data_config(other))
with torch.no_grad():
    logits = ours(**AutoImageProcessor.from_pretrained(repository)(image)).logits[0]
    theirs = other(transform(image)[None])[0]
scores = {each["label"]: each["score"] for each in pipeline("image-classification", model=repository)(image, top_k=len(logits))}
piped = torch.tensor([scores[name] for name in ours.config.id2label.values()])
print(logits.allclose(theirs, atol=1e-4), logits.softmax(0).allclose(piped, atol=1e-4), tuple(other.pretrained_cfg["input_size"]))
"""


def save_backbone(architecture: str, folder: Path, **changes) -> Path:
    """A network with random weights as a repository of timm."""
    torch.manual_seed(0)
    model = timm.create_model(architecture, num_classes=5)
    keys = (
        "input_size",
        "crop_pct",
        "interpolation",
        "mean",
        "std",
        "first_conv",
        "classifier",
        "pool_size",
        "fixed_input_size",
    )
    pretrained_cfg = {key: value for key, value in model.pretrained_cfg.items() if key in keys}
    pretrained_cfg |= {
        "input_size": [3, 32, 32],
        "mean": [0.4, 0.5, 0.6],
        "std": [0.2, 0.3, 0.25],
        "num_classes": 5,
        **changes,
    }
    folder.mkdir(parents=True)
    config = {"architecture": architecture, "num_classes": 5, "num_features": model.num_features}
    (folder / "config.json").write_text(json.dumps(config | {"pretrained_cfg": pretrained_cfg}))
    safetensors.torch.save_file(model.state_dict(), folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture(scope="session")
def backbone(tmp_path_factory) -> Path:
    return save_backbone("test_efficientnet", tmp_path_factory.mktemp("backbones") / "efficientnet")


@pytest.fixture(scope="session")
def resnet(tmp_path_factory) -> Path:
    return save_backbone("test_resnet", tmp_path_factory.mktemp("backbones") / "resnet")


@pytest.fixture(scope="session")
def run_transfer(shapes, backbone):
    """`run_transfer(folder, **options)` runs the recipe on the shapes in this process."""
    tiny = {
        "dataset": shapes,
        "backbone": backbone,
        "strategy": "full",
        "augmentation": "none",
        "duplicate_distance": -1,
        "per_device_train_batch_size": 8,
        "num_train_epochs": 6,
        "learning_rate": 0.005,
        "precision": "fp32",
        "seed": 1,
    }

    def call(folder: Path, **changes):
        with pytest.MonkeyPatch.context() as patch:  # a thousand draws of each interval take longer than the training
            patch.setattr(analysis, "resample", partial(resample, resamples=20))
            return run_tiny_recipe("transfer_learning", tiny, folder, **changes)

    return call


@pytest.fixture(scope="session")
def transfer_run(run_transfer, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("transfer") / "full"
    run_transfer(folder)
    return folder


@pytest.fixture(scope="session")
def compare_loaders():
    """`compare_loaders(repository, file, **options of run_python)` is what `COMPARE_LOADERS` prints, where hf_recipes is missing."""

    def compare(repository: str, file: Path, **options) -> str:
        return run_python("-c", COMPARE_LOADERS, repository, file, **options).stdout.splitlines()[-1]

    return compare
