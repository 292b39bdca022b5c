"""What the library costs around the network: each line is a ratio, the median of alternating pairs.

    python benchmarks/cell_counting.py

Trainer's samples a second against a bare loop over the same collated batches (aim: at least 0.95); the pipeline's images a
second against the bare forward pass (at least 0.8); peak memory of an evaluation at 1,000 images against 100 (within
1.10). The network is the one of recipes/cell_counting/unet.yaml, in the precision that this machine trains in.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from types import SimpleNamespace

import numpy as np
import torch
import yaml
from torch.utils.data import DataLoader

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
        card=make_card(SimpleNamespace(dataset="synthetic", dataset_name=None, dataset_url=None,
                                       dataset_license=None, architecture="unet")),
        train_dataset=Images(images),
        eval_dataset=Images(images),
        data_collator=CellCollator(processor),
        processing_class=processor,
        compute_metrics=compute_metrics,
        reduce=reduce_batch,
    )  # fmt: skip


def time_trainer(folder: str) -> float:
    trainer = make_trainer(folder, STEPS * CONFIG["per_device_train_batch_size"], max_steps=STEPS)
    trainer.train()
    return next(row["train_runtime"] for row in trainer.state.log_history if "train_runtime" in row)


def time_bare_loop(folder: str) -> float:
    """The same batches, network, precision, clipping and optimiser."""
    trainer = make_trainer(folder, 1, max_steps=STEPS)  # for its precision and optimiser
    model, optimizer, args = trainer.model.train(), trainer.create_optimizer(), trainer.args
    batch_size = CONFIG["per_device_train_batch_size"]
    loader = DataLoader(Images(STEPS * batch_size), batch_size, collate_fn=trainer.data_collator)
    start = time.perf_counter()
    for batch in loader:
        batch = {key: value.to(args.device) for key, value in batch.items()}
        with torch.autocast(args.device.type, torch.bfloat16, enabled=args.bf16):
            loss = model(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), args.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
        loss.item()
    return time.perf_counter() - start


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


def peak_memory(images: int) -> float:
    """Peak resident memory in GB of an evaluation in a process of its own."""
    script = (
        "import resource, sys; sys.path.insert(0, sys.argv[1]); import cell_counting as benchmark\n"
        "benchmark.make_trainer(sys.argv[2], int(sys.argv[3])).evaluate()\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6)"
    )
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "-c", script, str(Path(__file__).parent), folder, str(images)]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
    return float(done.stdout.splitlines()[-1])


def show(title: str, ratios: list[float], aim: str) -> None:
    spread = f"{min(ratios):.3f} to {max(ratios):.3f}, {len(ratios)} pairs" if len(ratios) > 1 else "one pair"
    print(f"{title}: {median(ratios):.3f} ({spread}; aim: {aim})", flush=True)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        time_bare_loop(folder), time_trainer(folder)  # warm up
        ratios = [time_bare_loop(folder) / time_trainer(folder) for _ in range(PAIRS)]
    show("Trainer's samples a second / bare loop's", ratios, "at least 0.95")
    counter = CellCountingPipeline(model=make_model(), image_processor=CellCounterImageProcessor())
    image = np.random.default_rng(0).integers(0, 255, (SIZE, SIZE, 3), dtype=np.uint8)
    time_forward(counter, image), time_pipeline(counter, image)
    ratios = [time_forward(counter, image) / time_pipeline(counter, image) for _ in range(PAIRS)]
    show("pipeline's images a second / bare forward pass", ratios, "at least 0.8")
    show("peak memory of an evaluation, 1,000 images / 100", [peak_memory(1000) / peak_memory(100)], "at most 1.10")


if __name__ == "__main__":
    main()
