"""A run of a recipe, after its model and data are made: train or resume, test, report and publish."""

import ctypes
import hashlib
import json
import logging
import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import yaml
from accelerate import PartialState
from transformers import TrainerState

from .arguments import CARD_OPTIONS, RecipeParser, RecipeTrainingArguments, non_defaults
from .checkpoints import last_whole_checkpoint, read_json, write_json
from .errors import explain
from .model_card import Report, of_training, read_facts, rewrite_card, slug, write_card
from .training import SETTINGS_FILE, RecipeTrainer

logger = logging.getLogger(__name__)

MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1  # of glibc's mallopt(3)
RESULTS_FILE, RECIPE_FILE, STATE_FILE = "all_results.json", "recipe.yaml", "trainer_state.json"
# arguments that say where a run goes, how it is shown and on what it runs, but not what it computes
OUTWARD = (
    "output_dir",
    "push_to_hub",
    "hub_",
    "logging_",
    "log_",
    "report_to",
    "run_name",
    "disable_tqdm",
    "project",
    "trackio",
    "include_num",
    "save_total_limit",
    "save_on_each_node",
    "debug",
    "test_again",
    "dataloader_num_workers",
    "dataloader_pin_memory",
    "dataloader_persistent_workers",
    "dataloader_prefetch_factor",
    "ddp_",
    "local_rank",
    "use_cpu",
)
# written into the published recipe, and nothing of a result depends on them
FREE = ("per_device_eval_batch_size", "eval_accumulation_steps", *CARD_OPTIONS)
CHECKPOINTS = ("save_strategy", "save_steps")  # outward as well, unless the best checkpoint is the model


def run(
    trainer: RecipeTrainer,
    recipe: Any,
    test_dataset: Any,
    analyse: Callable[[RecipeTrainer, Any], Report] | None = None,
    train: bool = True,
) -> dict[str, Any]:
    """Train or resume, save, test once on the reloaded model, analyse, write the card, push when asked.

    A finished run is read from its folder, and only pushed. Where other things are said of its data and licences, its card is written
    again; and with `--test_again` its saved model is tested and analysed again, as by a newer version of this library.

    Args:
        trainer: with its model, data and card.
        recipe: the dataclass of the recipe's own arguments; with the training arguments it identifies the run.
        test_dataset: used once.
        analyse: `analyse(trainer, predictions)` after the test, with `trainer.model` the reloaded one, returns the
            report that the card shows.
        train: False for a model that is tested as it is.

    Returns:
        What `all_results.json` holds.

    Raises:
        ValueError: when the output folder holds a run of other settings.
        FileNotFoundError: when a card is to be written again, or a model tested again, and the folder does not hold what that takes.
        OSError: when it cannot be written.
    """
    folder = Path(trainer.args.output_dir)
    settings = run_settings(recipe, trainer.args)
    check_folder(folder, settings)
    results, options = read_json(folder / RESULTS_FILE), settings["options"]
    about = trainer.card.dataset_name, trainer.card.dataset_url
    if results is None:
        if trainer.args.should_save:
            write_json(folder / SETTINGS_FILE, settings)
            write_recipe(folder / RECIPE_FILE, options, *about)
        if train:
            trainer.train(resume_from_checkpoint=last_whole_checkpoint(folder))
        trainer.save_model(_internal_call=True)
        trainer.accelerator.wait_for_everyone()
        results = test(trainer, settings, test_dataset, analyse, of_training(trainer))
    elif trainer.args.test_again:
        logger.info("%s holds the finished run; its model is tested again", folder)
        trainer.state = read_state(folder)
        if trainer.args.should_save:
            write_recipe(folder / RECIPE_FILE, options, *about)
        known = {key: results[key] for key in of_training(trainer)}
        known["times_tested"] = results.get("times_tested", 1) + 1
        results = test(trainer, settings, test_dataset, analyse, known)
        if trainer.args.should_save:
            write_json(folder / SETTINGS_FILE, settings)  # after the card: it says what that says
    else:
        logger.info("%s holds the finished run; it is not trained again", folder)
        before = (read_json(folder / SETTINGS_FILE) or {}).get("options", {})
        if trainer.args.should_save and of_card(before) != of_card(options):
            facts = read_facts(folder)
            write_recipe(folder / RECIPE_FILE, options, *about)
            rewrite_card(trainer.card, facts, folder)
            write_json(folder / SETTINGS_FILE, settings)
            logger.info(
                "Its card is written again; images that are hidden now and were published before stay on the Hub"
            )
    if trainer.args.push_to_hub:
        trainer.push_to_hub()
    return results


def test(
    trainer: RecipeTrainer,
    settings: dict[str, Any],
    dataset: Any,
    analyse: Callable[[RecipeTrainer, Any], Report] | None,
    training: dict[str, Any],
) -> dict[str, Any]:
    """Test the saved model, analyse, and write the card and the results, with what is known of the training."""
    folder = Path(trainer.args.output_dir)
    predictions = trainer.test(dataset)
    results = summarize(trainer, predictions.metrics, settings, training)
    if analyse is not None and trainer.is_world_process_zero():
        trainer.report = analyse(trainer, predictions)
        results |= trainer.report.measured | {"baselines": trainer.report.baselines}
    trainer.report.results = results
    if trainer.args.should_save:
        trainer.state.save_to_json(str(folder / STATE_FILE))
        write_card(trainer, folder)
        write_json(folder / RESULTS_FILE, results)  # last: it says that the run is finished
    trainer.accelerator.wait_for_everyone()
    return results


def launch(
    main: Callable[[Any, RecipeTrainingArguments], Any],
    recipe_class: type,
    args_class: type[RecipeTrainingArguments] = RecipeTrainingArguments,
) -> Any:
    """Parse the command line, run a recipe's `main`, and end on a failure that the user can mend with one line.

    `--log_level debug` shows the traceback as well.
    """
    recipe, args = RecipeParser((recipe_class, args_class), description=recipe_class.__doc__).parse()
    keep_freed_memory()
    use_all_processors(args)
    logging.basicConfig(format="%(levelname)s %(message)s", level=args.get_process_log_level())
    logging.getLogger("hf_recipes").setLevel(logging.INFO if args.process_index == 0 else logging.ERROR)
    try:
        return main(recipe, args)
    except Exception as error:
        line = explain(error)
        if line is None or args.log_level == "debug":
            raise
        sys.exit(f"error: {line}")
    finally:
        # A process that ends with the group's threads alive may be aborted by them, after its work is done.
        PartialState().destroy_process_group()


def use_all_processors(args: RecipeTrainingArguments) -> None:
    """Compute with a thread for each processor where `accelerate launch` has left one process a single thread.

    It does so on a processor wherever neither its configuration nor OMP_NUM_THREADS says how many; that OMP_NUM_THREADS says 1 cannot be told
    from that.
    """
    launched = "ACCELERATE_MIXED_PRECISION" in os.environ  # set by `accelerate launch`
    alone = args.world_size == 1 and args.device.type == "cpu"
    if launched and alone and os.environ.get("OMP_NUM_THREADS") == "1":
        usable = getattr(os, "sched_getaffinity", None)
        torch.set_num_threads(len(usable(0)) if usable else os.cpu_count() or 1)


def keep_freed_memory() -> None:
    """Make glibc keep large blocks that are freed, where the C library is glibc.

    It gives the activations of every training step back to the system otherwise, which then clears the same pages for the next
    step: on a processor, networks with large activations spend much of their time on that.
    """
    if platform.libc_ver()[0] == "glibc":
        libc, most = ctypes.CDLL(None), 2**31 - 1
        # older versions take no more than half of a heap for a threshold
        if libc.mallopt(MMAP_THRESHOLD, most) or libc.mallopt(MMAP_THRESHOLD, 2**25):
            libc.mallopt(TRIM_THRESHOLD, most)


def run_settings(recipe: Any, args: RecipeTrainingArguments) -> dict[str, Any]:
    """The arguments that make a run again, where they are not defaults, the digest of those that decide what it computes, and the number of
    processes and the precision, which machines differ in."""
    outward = OUTWARD if args.load_best_model_at_end else OUTWARD + CHECKPOINTS
    asked = json.loads(json.dumps(non_defaults(recipe) | args.asked, default=str))
    options = {name: value for name, value in asked.items() if not name.startswith(outward)}
    digest = hashlib.sha256(json.dumps(deciding(options), sort_keys=True).encode()).hexdigest()[:16]
    return {
        "options": options,
        "digest": digest,
        "processes": args.world_size,
        "precision": args.trained_precision,
    }


def deciding(options: dict[str, Any]) -> dict[str, Any]:
    """Of the options of a run, those that decide what it computes."""
    return {name: value for name, value in options.items() if name not in FREE}


def of_card(options: dict[str, Any]) -> dict[str, Any]:
    """Of the options of a run, those that say what its card says."""
    return {name: value for name, value in options.items() if name in CARD_OPTIONS}


def check_folder(folder: Path, settings: dict[str, Any]) -> None:
    """The output folder holds no run of other settings, nor one that is not finished and was begun by another number of processes, or in another
    precision."""
    before, results = read_json(folder / SETTINGS_FILE), read_json(folder / RESULTS_FILE)
    if before is None:
        if results is not None and results.get("settings") != settings["digest"]:
            raise ValueError(f"{folder} holds a finished run of other settings; give another --output_dir")
        return
    then, now = deciding(before["options"]), deciding(settings["options"])
    if then != now:
        changed = [
            f"{name} ({then.get(name, 'default')!r} then, {now.get(name, 'default')!r} now)"
            for name in sorted({*then, *now})
            if then.get(name) != now.get(name)
        ]
        raise ValueError(
            f"{folder} holds a run of other settings: {', '.join(changed[:4])}. "
            "Give another --output_dir, or delete that folder to start anew"
        )
    if results is not None or not last_whole_checkpoint(folder):
        return
    for name, remedy in (("processes", "start so many"), ("precision", "give --precision, on a machine that has it")):
        begun, started = before.get(name, settings[name]), settings[name]
        if begun != started:
            raise ValueError(
                f"{folder} holds a run that was begun with {name} {begun}, and now it is {started}: {remedy}, give another --output_dir, or delete "
                "that folder to start anew"
            )


def read_state(folder: Path) -> TrainerState:
    """How the training of a finished run went.

    Raises:
        FileNotFoundError: when the folder does not hold it, as one that was pulled from the Hub.
    """
    if not (folder / STATE_FILE).exists():
        raise FileNotFoundError(f"{folder} does not hold {STATE_FILE} of its training: leave --test_again out")
    return TrainerState.load_from_json(str(folder / STATE_FILE))


def summarize(
    trainer: RecipeTrainer, metrics: dict[str, Any], settings: dict[str, Any], training: dict[str, Any]
) -> dict[str, Any]:
    """What a run measured, for `all_results.json`, the card and the study."""
    validation = [row for row in trainer.state.log_history if any(key.startswith("eval_") for key in row)]
    chosen = trainer.chosen_step
    row = next((row for row in reversed(validation) if row["step"] == chosen), {})
    return {
        "settings": settings["digest"],
        "seed": trainer.args.seed,
        "parameters": sum(parameter.numel() for parameter in trainer.model.parameters()),
        "train_examples": len(trainer.train_dataset),
        "steps": trainer.state.global_step,
        "chosen_step": chosen,
        **training,
        **{
            key: value
            for key, value in row.items()
            if key.startswith("eval_") and not key.endswith(("_second", "time"))
        },
        **{key: value for key, value in metrics.items() if not key.endswith(("_second", "time"))},
    }


def write_recipe(path: Path, options: dict[str, Any], dataset_name: str, dataset_url: str) -> None:
    """The YAML that makes this run again; folders and ids of this machine are replaced by what they are called."""

    def named(value: Any) -> Any:
        if isinstance(value, list):
            return [named(each) for each in value]
        # a plain word may be a folder here by chance
        is_place = isinstance(value, str) and ("/" in value or os.sep in value) and Path(value).exists()
        return f"path/to/{Path(value).name}" if is_place else value

    options = {key: value if key == "dataset" else named(value) for key, value in options.items()}
    dataset = str(options.get("dataset", ""))
    if dataset and (dataset.startswith("local/") or Path(dataset).exists()):
        options = options | {"dataset": "path/to/" + slug(dataset_name)}
    path.write_text(f"# {dataset_name}: {dataset_url}\n" + yaml.safe_dump(options, sort_keys=False))
