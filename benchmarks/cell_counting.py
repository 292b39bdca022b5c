"""What the library costs around the network: each line is a ratio, the median of alternating pairs.

    python benchmarks/cell_counting.py

Trainer's samples a second against a bare loop over the same collated batches (aim: at least 0.95); the pipeline's images a
second against the bare forward pass (at least 0.8); peak memory of an evaluation at 1,000 images against 100 (within
1.10). The network is the one of recipes/cell_counting/unet.yaml, in the precision that this machine trains in.
"""

import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import yaml
from pairs import load_recipe, peak_memory, show, show_trainer_against_bare_loop

from hf_recipes import CellCounter, CellCounterConfig, CellCounterImageProcessor, CellCountingPipeline
from hf_recipes.arguments import RecipeTrainingArguments
from hf_recipes.cell_counting.card import make_card
from hf_recipes.cell_counting.data import CellCollator
from hf_recipes.cell_counting.metrics import compute_metrics, reduce_batch
from hf_recipes.training import RecipeTrainer

CONFIG = yaml.safe_load((Path(__file__).parents[1] / "recipes/cell_counting/unet.yaml").read_text())
PAIRS, STEPS, SIZE = 5, 100, 256


class Images(torch.utils.data.Dataset):
    """Rows as `load_cells` makes them, all made of one image."""

    def __init__(self, number: int):
        self.number = number
        pixels = np.random.default_rng(0).integers(0, 255, (SIZE, SIZE, 3), dtype=np.uint8)
        density = np.full((SIZE, SIZE), 1e-3, np.float32)
        self.row = {
            "pixels": pixels.tobytes(),
            "dtype": "uint8",
            "shape": [SIZE, SIZE, 3],
            "density": density.tobytes(),
        }

    def __len__(self):
        return self.number

    def __getitem__(self, index):
        return self.row


def make_model() -> CellCounter:
    torch.manual_seed(0)
    options = {key: CONFIG[key] for key in ("widths", "stem_stride", "local_count_weight") if key in CONFIG}
    return CellCounter(CellCounterConfig(**options))


def make_trainer(folder: str, images: int, **options) -> RecipeTrainer:
    args = RecipeTrainingArguments(
        output_dir=folder,
        per_device_train_batch_size=CONFIG["per_device_train_batch_size"],
        per_device_eval_batch_size=8,
        eval_strategy="no",
        save_strategy="no",
        disable_tqdm=True,
        **options,
    )
    processor = CellCounterImageProcessor()
    return RecipeTrainer(
        model=make_model(),
        args=args,
        card=make_card(load_recipe("cell_counting").CellCountingArguments()),
        train_dataset=Images(images),
        eval_dataset=Images(images),
        data_collator=CellCollator(processor),
        processing_class=processor,
        compute_metrics=compute_metrics,
        reduce=reduce_batch,
    )  # fmt: skip


def time_pipeline(counter: CellCountingPipeline, image: np.ndarray) -> float:
    start = time.perf_counter()
    for _ in range(STEPS):
        counter(image)
    return time.perf_counter() - start


def time_forward(counter: CellCountingPipeline, image: np.ndarray) -> float:
    pixels = counter.image_processor(image)["pixel_values"].to(counter.device)
    start = time.perf_counter()
    with torch.inference_mode():
        for _ in range(STEPS):
            counter.model(pixels).counts.item()
    return time.perf_counter() - start


def evaluate(images: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        make_trainer(folder, images).evaluate()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        images = STEPS * CONFIG["per_device_train_batch_size"]
        show_trainer_against_bare_loop(lambda: make_trainer(folder, images, max_steps=STEPS), PAIRS)
    counter = CellCountingPipeline(model=make_model(), image_processor=CellCounterImageProcessor())
    image = np.random.default_rng(0).integers(0, 255, (SIZE, SIZE, 3), dtype=np.uint8)
    time_forward(counter, image), time_pipeline(counter, image)
    ratios = [time_forward(counter, image) / time_pipeline(counter, image) for _ in range(PAIRS)]
    show("pipeline's images a second / bare forward pass", ratios, "at least 0.8")
    many, few = (peak_memory("cell_counting", f"evaluate({images})") for images in (1000, 100))
    show("peak memory of an evaluation, 1,000 images / 100", [many / few], "at most 1.10")


if __name__ == "__main__":
    main()
