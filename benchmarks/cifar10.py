"""What the library costs around the fast CNN: each line is a ratio, the median of alternating pairs, or a speed.

    python benchmarks/cifar10.py

Trainer's samples a second against a bare loop over the same batches (aim: at least 0.95); the input pipeline's, with
augmentation, against those that the training consumes (at least 5); and how many images a second train, also with the
channels of airbench. The network, its batches and its augmentation are those of recipes/cifar10/fast_cnn.yaml at full size, in
the precision that this machine trains in; the images are random.
"""

import tempfile

import numpy as np
from datasets import Dataset, DatasetDict
from pairs import (
    RECIPES,
    load_recipe,
    show_input_pipeline_against_training,
    show_trainer_against_bare_loop,
    time_trainer,
)

from hf_recipes.arguments import RecipeParser, RecipeTrainingArguments
from hf_recipes.cifar10.data import DECODED, LoadedImages, make_processor
from hf_recipes.run import keep_freed_memory
from hf_recipes.training import RecipeTrainer

PAIRS, STEPS = 5, 20


def random_images(number: int) -> Dataset:
    """Rows as `load_images` makes them."""
    pixels = np.random.default_rng(0).integers(0, 255, (number, 32 * 32 * 3), dtype=np.uint8)
    rows = {"pixels": [row.tobytes() for row in pixels], "label": [n % 10 for n in range(number)]}
    return Dataset.from_dict(rows | {"index": list(range(number))}, features=DECODED)


def make_trainer(module, folder: str, *options: str) -> RecipeTrainer:
    """The trainer of the recipe, for one pass over so many random images that it makes `STEPS` steps."""
    config = ["--config", str(RECIPES / "cifar10/fast_cnn.yaml"), "--output_dir", folder, "--max_steps", str(STEPS)]
    quiet = ["--eval_strategy", "no", "--save_strategy", "no", "--disable_tqdm", "true", "--small_size", "0"]
    parser = RecipeParser((module.CifarArguments, RecipeTrainingArguments))
    recipe, args = parser.parse([*config, *quiet, *options])
    processor = make_processor(recipe.image_size)
    processor.image_mean, processor.image_std = [0.5] * 3, [0.25] * 3
    splits = DatasetDict(train=random_images(STEPS * args.per_device_train_batch_size), validation=random_images(10))
    images = LoadedImages(splits, [f"class {n}" for n in range(10)], "PNG", None)
    return module.make_trainer(recipe, args, images, processor)


def main() -> None:
    keep_freed_memory()
    module = load_recipe("cifar10")
    with tempfile.TemporaryDirectory() as folder:
        show_trainer_against_bare_loop(lambda: make_trainer(module, folder), PAIRS)
        training = show_input_pipeline_against_training(lambda: make_trainer(module, folder), PAIRS, "at least 5")
        wide = [time_trainer(make_trainer(module, folder, "--widths", "64", "256", "256")) for _ in range(2)]
        args = make_trainer(module, folder).args
    images = STEPS * args.per_device_train_batch_size
    wide_aim = " (aim: at least 790 in bf16)"
    for name, seconds, aim in (("recipe's channels", training, ""), ("64, 256 and 256 channels", wide, wide_aim)):
        print(f"training, {name}: {images / np.median(seconds):.0f} images a second in {args.trained_precision}{aim}")


if __name__ == "__main__":
    main()
