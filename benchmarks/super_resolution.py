"""What the library costs around super-resolution: each line is a ratio, the median of alternating pairs, or a memory.

    python benchmarks/super_resolution.py

Trainer's samples a second against a bare loop over the same patches (aim: at least 0.95); the patches' against those that the
training consumes (at least 1); the pipeline's time for 512 x 512 pixels against the bare forward pass (at most 1.25), in memory
as a process of a user has it and as recipes train in it; peak memory of an evaluation at 50 images against 10 (within 1.10),
and of enlarging 4096 x 4096 pixels in tiles, that of the process included (at most 2 GB). The network is the one of
recipes/super_resolution/light_x2.yaml, the images are random.
"""

import tempfile
import time

import numpy as np
import torch
from datasets import Dataset, DatasetDict, load_from_disk
from pairs import (
    RECIPES,
    load_recipe,
    peak_memory,
    show,
    show_input_pipeline_against_training,
    show_trainer_against_bare_loop,
)
from PIL import Image

from hf_recipes import SuperResolutionPipeline, SuperResolver, SuperResolverConfig
from hf_recipes.arguments import RecipeParser, RecipeTrainingArguments
from hf_recipes.run import keep_freed_memory
from hf_recipes.super_resolution.data import DECODED, LoadedImages
from hf_recipes.training import RecipeTrainer

PAIRS, STEPS, HEIGHT, WIDTH = 7, 40, 320, 480


def random_images(number: int, folder: str) -> Dataset:
    """Rows as `load_images` makes them for x2, in a file as `map` leaves them."""
    pixels = np.random.default_rng(0).integers(0, 255, HEIGHT * WIDTH * 3, dtype=np.uint8).tobytes()
    row = {"high": pixels, "low": pixels[: len(pixels) // 4], "height": HEIGHT, "width": WIDTH}
    row |= {"source": "", "given": False}
    Dataset.from_list([row | {"index": index} for index in range(number)], features=DECODED).save_to_disk(folder)
    return load_from_disk(folder)


def make_trainer(folder: str, images: int) -> RecipeTrainer:
    """The trainer of the recipe, for one pass over so many random images."""
    module = load_recipe("super_resolution")
    config = ["--config", str(RECIPES / "super_resolution/light_x2.yaml"), "--output_dir", folder]
    quiet = ["--eval_strategy", "no", "--save_strategy", "no", "--disable_tqdm", "true"]
    parser = RecipeParser((module.SuperResolutionArguments, RecipeTrainingArguments))
    recipe, args = parser.parse([*config, *quiet, "--max_steps", str(STEPS)])
    rows = random_images(images, tempfile.mkdtemp(dir=folder))
    splits = DatasetDict(dict.fromkeys(("train", "validation", "test"), rows))
    return module.make_trainer(recipe, args, LoadedImages(splits, "random images"), [""], module.make_model(recipe))


def evaluate(images: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        make_trainer(folder, images).evaluate()


def enlarge(side: int, scale: int) -> None:
    pipeline = SuperResolutionPipeline(model=SuperResolver(SuperResolverConfig(scale=scale)))
    pipeline(Image.new("RGB", (side, side)))


def time_pipeline(pipeline: SuperResolutionPipeline, image: np.ndarray) -> float:
    start = time.perf_counter()
    pipeline(image)
    return time.perf_counter() - start


def time_forward(pipeline: SuperResolutionPipeline, image: np.ndarray) -> float:
    pixel_values = torch.from_numpy(image).movedim(-1, 0)[None].float() / 255
    start = time.perf_counter()
    with torch.inference_mode():
        pipeline.model(pixel_values)
    return time.perf_counter() - start


def show_pipeline_against_forward(title: str) -> None:
    pipeline = SuperResolutionPipeline(model=SuperResolver(SuperResolverConfig()))
    image = np.random.default_rng(0).integers(0, 255, (512, 512, 3), dtype=np.uint8)
    time_forward(pipeline, image), time_pipeline(pipeline, image)
    ratios = [time_pipeline(pipeline, image) / time_forward(pipeline, image) for _ in range(2 * PAIRS)]
    show(f"pipeline's seconds for 512 x 512 pixels / bare forward pass, {title}", ratios, "at most 1.25")


def main() -> None:
    show_pipeline_against_forward("in a process as it is")
    keep_freed_memory()
    show_pipeline_against_forward("where freed memory is kept")
    with tempfile.TemporaryDirectory() as folder:
        images = STEPS * make_trainer(folder, 1).args.per_device_train_batch_size
        show_trainer_against_bare_loop(lambda: make_trainer(folder, images), PAIRS)
        show_input_pipeline_against_training(lambda: make_trainer(folder, images), PAIRS, "at least 1")
    many, few = (peak_memory("super_resolution", f"evaluate({images})") for images in (50, 10))
    show("peak memory of an evaluation, 50 images / 10", [many / few], "at most 1.10")
    for scale in (2, 4):
        peak = peak_memory("super_resolution", f"enlarge(4096, {scale})")
        print(f"peak memory for 4096 x 4096 pixels x{scale}: {peak:.2f} GB (aim: at most 2)", flush=True)


if __name__ == "__main__":
    main()
