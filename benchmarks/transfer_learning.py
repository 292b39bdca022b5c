"""What the library costs around a fine-tuning: each line is a ratio, the median of alternating pairs, or a speed.

    python benchmarks/transfer_learning.py

Trainer's samples a second against a bare loop over the same batches (aim: at least 0.95); the input pipeline's, with decoding and
augmentation, against those that the training consumes (at least 1: the pipeline is never slower than the network); how many
images a second train; and the seconds of a linear probe on 2,000 images with the pass of the backbone (aim: at most 120). The
configurations are full.yaml and linear_probe.yaml of recipes/transfer_learning, the images are random and the network has
EfficientNet-Lite0's initial weights, which cost what pretrained ones do.
"""

import json
import tempfile
import time
from pathlib import Path

import numpy as np
import safetensors.torch
import timm
from datasets import Dataset, DatasetDict, concatenate_datasets
from pairs import RECIPES, load_recipe, show_input_pipeline_against_training, show_trainer_against_bare_loop

from hf_recipes.arguments import RecipeParser, RecipeTrainingArguments
from hf_recipes.run import keep_freed_memory
from hf_recipes.training import RecipeTrainer
from hf_recipes.transfer_learning.backbones import make_processor
from hf_recipes.transfer_learning.data import DECODED, LoadedImages
from hf_recipes.transfer_learning.features import compute_split_features
from hf_recipes.transfer_learning.strategies import prepare

PAIRS, STEPS, SIDE = 5, 10, 180
NAMES = ["first", "second"]


def save_backbone(folder: Path) -> Path:
    """A repository of timm with initial weights."""
    model = timm.create_model("tf_efficientnet_lite0")
    config = {"architecture": "tf_efficientnet_lite0", "num_classes": 1000, "pretrained_cfg": model.pretrained_cfg}
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    safetensors.torch.save_file(model.state_dict(), folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def random_images(number: int) -> Dataset:
    """Rows as `load_images` makes them."""
    pixels = np.random.default_rng(0).integers(0, 255, (number, SIDE * SIDE * 3), dtype=np.uint8)
    rows = {"pixels": [row.tobytes() for row in pixels], "label": [n % len(NAMES) for n in range(number)]}
    rows |= {"width": [SIDE] * number, "height": [SIDE] * number, "index": list(range(number))}
    rows |= {"hash": [b""] * number, "digest": [b""] * number, "split": ["train"] * number}
    return Dataset.from_dict(rows, features=DECODED)


def as_loaded(train: Dataset, validation: Dataset) -> LoadedImages:
    """As `load_images` gives them."""
    places = np.arange(len(train) + len(validation))
    rows = {"train": places[: len(train)], "validation": places[len(train) :]}
    splits = DatasetDict(train=train, validation=validation)
    return LoadedImages(splits, concatenate_datasets([train, validation]), rows, NAMES, [], 0, 0, 0, None)


def parse(module, folder: Path, config: str, *options: str):
    words = ["--config", str(RECIPES / f"transfer_learning/{config}.yaml"), "--backbone", str(folder / "backbone")]
    words += ["--eval_strategy", "no", "--save_strategy", "no", "--disable_tqdm", "true"]
    parser = RecipeParser((module.TransferArguments, RecipeTrainingArguments))
    return parser.parse([*words, "--output_dir", str(folder / "run"), *options])


def make_trainer(module, folder: Path) -> RecipeTrainer:
    """The trainer of the recipe, for one pass over so many random images that it makes `STEPS` steps."""
    recipe, args = parse(module, folder, "full", "--max_steps", str(STEPS))
    images = as_loaded(random_images(STEPS * args.per_device_train_batch_size), random_images(10))
    model = module.make_model(recipe, NAMES, pretrained=True)
    return module.make_trainer(recipe, args, images, model, make_processor(model), DatasetDict())


def time_probe(module, folder: Path) -> float:
    recipe, args = parse(module, folder, "linear_probe")
    images = as_loaded(random_images(2000), random_images(10))
    model = module.make_model(recipe, NAMES, pretrained=True)
    processor, start = make_processor(model), time.perf_counter()
    with_features = compute_split_features(images, model, processor)
    prepare(model, "linear_probe")
    module.make_trainer(recipe, args, images, model, processor, with_features).train()
    return time.perf_counter() - start


def main() -> None:
    keep_freed_memory()
    module = load_recipe("transfer_learning")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_backbone(folder / "backbone")
        show_trainer_against_bare_loop(lambda: make_trainer(module, folder), PAIRS)
        training = show_input_pipeline_against_training(lambda: make_trainer(module, folder), PAIRS, "at least 1")
        args = make_trainer(module, folder).args
        print(f"linear probe on 2,000 images: {time_probe(module, folder):.0f} seconds (aim: at most 120)", flush=True)
    images = STEPS * args.per_device_train_batch_size
    print(f"training: {images / np.median(training):.0f} images a second in {args.trained_precision}")


if __name__ == "__main__":
    main()
