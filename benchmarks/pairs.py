"""What benchmarks share: recipes as modules, ratios of what is timed in alternating pairs, and the one that every task shows,
Trainer against a bare loop."""

import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from types import ModuleType

import torch
from accelerate.utils import send_to_device
from torch.utils.data import DataLoader

from hf_recipes.training import RecipeTrainer

RECIPES = Path(__file__).parents[1] / "recipes"


def load_recipe(task: str) -> ModuleType:
    """The module of a recipe, which is a script."""
    spec = importlib.util.spec_from_file_location(f"recipe_{task}", RECIPES / f"{task}.py")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def show(title: str, ratios: list[float], aim: str) -> None:
    spread = f"{min(ratios):.3f} to {max(ratios):.3f}, {len(ratios)} pairs" if len(ratios) > 1 else "one pair"
    print(f"{title}: {median(ratios):.3f} ({spread}; aim: {aim})", flush=True)


def show_trainer_against_bare_loop(make_trainer: Callable[[], RecipeTrainer], pairs: int) -> None:
    """`make_trainer` gives a new trainer with the same model and data, whose `max_steps` are one pass over them."""
    time_bare_loop(make_trainer()), time_trainer(make_trainer())  # warm up
    ratios = [time_bare_loop(make_trainer()) / time_trainer(make_trainer()) for _ in range(pairs)]
    show("Trainer's samples a second / bare loop's", ratios, "at least 0.95")


def show_input_pipeline_against_training(
    make_trainer: Callable[[], RecipeTrainer], pairs: int, aim: str
) -> list[float]:
    """How much faster batches are made, augmentation included, than the training consumes them. The seconds of the trainings."""
    training, ratios = [], []
    for _ in range(pairs):
        training.append(time_trainer(make_trainer()))
        ratios.append(training[-1] / time_input_pipeline(make_trainer()))
    show("images a second of the input pipeline alone / of the training", ratios, aim)
    return training


def time_input_pipeline(trainer: RecipeTrainer) -> float:
    start = time.perf_counter()
    for batch in trainer.get_train_dataloader():
        trainer.augment(batch, trainer.batch_generator())
    return time.perf_counter() - start


def time_trainer(trainer: RecipeTrainer) -> float:
    trainer.train()
    return next(row["train_runtime"] for row in trainer.state.log_history if "train_runtime" in row)


def run_script(script: str, folder: Path, model: str, train: str, batch_size: int, *options: object) -> Path:
    """Train by one of transformers' example scripts at its defaults.

    Args:
        script: a copy of it.
        folder: for its data and its output.
        model: id or folder.
        train: the text of its training file, JSON.
        batch_size, options: of the training.

    Returns:
        Where it has written its results.
    """
    file, output = folder / "train.json", folder / "script"
    file.write_text(train)
    words = [sys.executable, script, "--model_name_or_path", model, "--train_file", file, "--do_train"]
    words += ["--per_device_train_batch_size", batch_size, *options, "--output_dir", output]
    words += ["--save_strategy", "no", "--report_to", "none", "--disable_tqdm", "true"]
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{script} failed: {done.stderr.strip().splitlines()[-1]}")
    return output


def time_script(*arguments: object) -> float:
    """Seconds of a training of `run_script`, as the script reports them."""
    return json.loads((run_script(*arguments) / "train_results.json").read_text())["train_runtime"]


def time_bare_loop(trainer: RecipeTrainer) -> float:
    """The same batches, augmentation, network and attention, precision, clipping and optimiser."""
    model, optimizer, args = trainer.model.train(), trainer.create_optimizer(), trainer.args
    loader = DataLoader(
        trainer.train_dataset,
        args.per_device_train_batch_size,
        sampler=trainer._get_train_sampler(),  # which may group by length
        drop_last=args.dataloader_drop_last,
        collate_fn=trainer.data_collator,
    )
    generator = torch.Generator().manual_seed(0)
    start = time.perf_counter()
    for batch in loader:
        batch = send_to_device(batch, args.device)
        if trainer.augment is not None:
            batch = trainer.augment(batch, generator)
        with trainer.plain_attention():
            with torch.autocast(args.device.type, torch.bfloat16, enabled=args.bf16):
                loss = model(**trainer.model_inputs(batch)).loss
            loss.backward()
        if args.max_grad_norm:
            torch.nn.utils.clip_grad_norm_(model.parameters(), args.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
        loss.item()
    return time.perf_counter() - start


def peak_memory(module: str, call: str) -> float:
    """Peak resident memory in GB of a call of a function of a benchmark, in a process of its own."""
    # of Linux; `resource.getrusage` would count what this process had when it started the other
    script = (
        f"import re, sys; sys.path.insert(0, sys.argv[1]); import {module}\n{module}.{call}\n"
        "print(int(re.search(r'VmHWM:\\s*(\\d+) kB', open('/proc/self/status').read())[1]) / 1e6)"
    )
    words = [sys.executable, "-c", script, str(Path(__file__).parent)]
    return float(subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()[-1])
