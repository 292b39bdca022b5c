"""Arguments of recipes: dataclasses, with a YAML file for the defaults and the command line on top."""

import argparse
import dataclasses
import difflib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
import yaml
from transformers import HfArgumentParser, TrainingArguments
from transformers.hf_argparser import string_to_bool
from transformers.utils.generic import strtobool

# options of transformers that would break what recipes promise
REFUSED = {
    "resume_from_checkpoint": "a run goes on by itself, from the last whole checkpoint in its --output_dir",
    "restore_callback_states_from_checkpoint": "what has a state that matters restores it by itself",
    "save_only_model": "a run that is killed could not go on from such a checkpoint",
    "bf16_full_eval": "models are tested in fp32",
    "fp16_full_eval": "models are tested in fp32",
}


def has_bf16(on_processor: bool = False) -> bool:
    """Whether the accelerator, or without one the processor, multiplies bf16 in hardware.

    Without hardware support bf16 still runs, many times slower than fp32.

    Args:
        on_processor: ask the processor, also where there is an accelerator.
    """
    if torch.cuda.is_available() and not on_processor:
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if torch.accelerator.is_available() and not on_processor:
        return False
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))


@dataclass
class RecipeTrainingArguments(TrainingArguments):
    """`TrainingArguments` with the defaults of the recipes."""

    output_dir: str = field(
        default="outputs/run",
        metadata={
            "help": "Folder of the run: checkpoints, the model, its card and results. Start the same command again "
            "and an interrupted run goes on, a finished one is not trained again."
        },
    )
    precision: Literal["auto", "fp32", "bf16"] = field(
        default="auto",
        metadata={
            "help": "Of training: bf16 autocast where the hardware multiplies bf16, else fp32 (auto). The test is "
            "always in fp32."
        },
    )
    test_again: bool = field(
        default=False,
        metadata={
            "help": "Test and analyse the saved model of a finished run again, and write its card and results anew; without a finished run it "
            "changes nothing."
        },
    )
    weight_average: float = field(
        default=0.0,
        metadata={
            "help": "Decay of an exponential moving average of the weights, which is then what is evaluated and "
            "saved; 0 keeps none (Polyak and Juditsky 1992). It is (1 + step) / (10 + step) where that is less, so as to forget the start."
        },
    )
    freeze_batch_norm_at: float = field(
        default=1.0,
        metadata={
            "help": "Share of the training after which batch norm uses its running statistics, as at inference, so "
            "that the last part trains exactly what is evaluated."
        },
    )
    eval_strategy: str = field(default="epoch", metadata={"help": "When to validate: no, steps (eval_steps) or epoch."})
    save_strategy: str = field(
        default="epoch", metadata={"help": "When to write a checkpoint: no, steps, epoch or best."}
    )
    logging_strategy: str = field(default="epoch", metadata={"help": "When to log the loss: no, steps or epoch."})
    save_total_limit: int | None = field(default=2, metadata={"help": "Checkpoints to keep; the best is always kept."})
    remove_unused_columns: bool = field(
        default=False, metadata={"help": "Drop columns that the model's forward does not name before collating."}
    )
    average_tokens_across_devices: bool = field(
        default=False, metadata={"help": "Weigh processes by their tokens; losses here are means of a batch."}
    )
    hub_strategy: Literal["end"] = field(
        default="end", metadata={"help": "When to push: at the end, the tested model with its card."}
    )
    dataloader_pin_memory: bool = field(
        default_factory=torch.cuda.is_available, metadata={"help": "Pin batches in memory; of use with a GPU only."}
    )

    def __post_init__(self):
        self.asked = non_defaults(self)  # before anything is resolved for this machine
        for name, why in REFUSED.items():
            if getattr(self, name):
                raise ValueError(f"--{name} is not taken: {why}")
        if self.precision == "fp32" and (self.bf16 or self.fp16):
            raise ValueError("--precision fp32 contradicts --bf16 or --fp16; give one of them")
        check_ranges(self, {"weight_average": (0, 1), "freeze_batch_norm_at": (0, 1)})
        # what `accelerate launch` was told of the processor holds for the tensors as well; and bf16 there needs it in the same call
        if not torch.accelerator.is_available() or strtobool(os.environ.get("ACCELERATE_USE_CPU", "false")):
            self.use_cpu = True
        if self.precision == "bf16" or (self.precision == "auto" and not self.fp16 and has_bf16(self.use_cpu)):
            self.bf16 = True
        super().__post_init__()
        # not what `accelerate config` once said, and no DataParallel, which multiplies the batch by the number of GPUs
        self.mixed_precision = "no" if self.trained_precision == "fp32" else self.trained_precision
        self._n_gpu = min(self.n_gpu, 1)

    @property
    def trained_precision(self) -> str:
        return "bf16" if self.bf16 else "fp16" if self.fp16 else "fp32"


@dataclass
class DatasetArguments:
    """What every recipe asks about its data: where they are, and what the card says of them."""

    dataset: str = field(default="", metadata={"help": "Hub id, folder, or file of rows."})
    dataset_revision: str | None = field(default=None, metadata={"help": "Branch, tag or commit on the Hub."})
    dataset_name: str | None = field(
        default=None, metadata={"help": "Name of the data in the card; the id by default."}
    )
    dataset_url: str | None = field(default=None, metadata={"help": "Where the data come from, for the card."})
    dataset_license: str | None = field(default=None, metadata={"help": "Licence of the data, for the card."})
    card_images: bool = field(
        default=True,
        metadata={
            "help": "Publish images of the data with the card, such as the worst mistakes; false where others may not see them: they then stay "
            "in the run's folder, under names that begin with _."
        },
    )
    model_license: str = field(
        default="apache-2.0",
        metadata={"help": "Licence of the trained weights, for the card; the data may not allow any."},
    )


# options that say what a card says of the data and the weights, and change nothing else
CARD_OPTIONS = ("dataset_name", "dataset_url", "dataset_license", "model_license", "card_images")


def non_defaults(values: Any) -> dict[str, Any]:
    """The fields of a dataclass that differ from their defaults."""
    changed = {}
    for each in dataclasses.fields(values):
        default = each.default if each.default_factory is dataclasses.MISSING else each.default_factory()
        if each.init and getattr(values, each.name) != default:
            changed[each.name] = getattr(values, each.name)
    return changed


def check_ranges(values: Any, ranges: dict[str, tuple[float, float | None]]) -> None:
    """Raises a `ValueError` that names the option and what it can be.

    Args:
        values: a dataclass of options; those that are None are not looked at.
        ranges: by name the least and the most, None for no most.
    """
    for name, (least, most) in ranges.items():
        value = getattr(values, name)
        if value is not None and not (least <= value and (most is None or value <= most)):
            raise ValueError(
                f"--{name} is {value}; it is {least} or more" + ("" if most is None else f" and at most {most}")
            )


def check_read(values: Any, read_by: dict[str, tuple[str, ...]]) -> None:
    """Raises a `ValueError` for an option that is given and that the strategy does not read.

    Args:
        values: a dataclass of options, `strategy` among them.
        read_by: by name the strategies that an option is for; what is not there is for all.
    """
    for name in non_defaults(values):
        if values.strategy not in read_by.get(name, (values.strategy,)):
            raise ValueError(
                f"--{name} is of no use to --strategy {values.strategy}; it is for {', '.join(read_by[name])}"
            )


class RecipeParser(HfArgumentParser):
    """Parses dataclasses from `--config FILE.yaml` and the command line, which wins.

    An unknown key or a value of the wrong type, in the file or on the command line, ends the program with one line
    that names the file, the key and the nearest valid one. Paths are relative to where the command runs.

    ```python
    recipe, args = RecipeParser((CellCountingArguments, RecipeTrainingArguments)).parse()
    ```
    """

    def __init__(self, dataclass_types, **kwargs):
        super().__init__(dataclass_types, allow_abbrev=False, **kwargs)
        self.add_argument("--config", metavar="FILE", help="YAML file with defaults for the options below")

    def parse(self, argv: list[str] | None = None) -> tuple[Any, ...]:
        """One instance per dataclass. Reads `sys.argv` when `argv` is None."""
        namespace, unknown = self.parse_known_args(argv)
        if unknown:
            self.error(f"unknown option {unknown[0]}{self.nearest(unknown[0].split('=')[0])}")
        if namespace.config:
            self.set_defaults(**self.read_config(Path(namespace.config)))
            namespace = self.parse_args(argv)
        values = vars(namespace)
        try:
            return tuple(
                dtype(**{f.name: values[f.name] for f in dataclasses.fields(dtype) if f.init})
                for dtype in self.dataclass_types
            )
        except ValueError as error:  # options that do not go together
            self.error(" ".join(str(error).split()))

    def read_config(self, file: Path) -> dict[str, Any]:
        """The options in a YAML file, each checked as if it stood on the command line."""
        try:
            config = yaml.safe_load(file.read_text())
        except OSError as error:
            self.error(f"cannot read --config {file}: {error.strerror}")
        except yaml.YAMLError as error:
            self.error(f"{file} is not valid YAML: {' '.join(str(error).split())}")
        if not isinstance(config or {}, dict):
            self.error(f"{file} holds a {type(config).__name__}; a config is a mapping of options to values")
        actions = {action.dest: action for action in reversed(self._actions)}  # --no_x comes after --x
        options = {}
        for key, value in (config or {}).items():
            if key not in actions or key in ("config", "help"):
                self.error(f"{file}: unknown key {key!r}{self.nearest(str(key))}")
            try:
                options[key] = self.check_value(actions[key], value)
            except (argparse.ArgumentError, argparse.ArgumentTypeError, TypeError, ValueError) as error:
                message = getattr(error, "message", None) or str(error)
                self.error(f"{file}: key {key!r} cannot be {value!r}: {message}")
        return options

    def check_value(self, action: argparse.Action, value: Any) -> Any:
        if value is None:
            if action.default is not None:
                raise ValueError(f"it needs a value; leave the line out for the default, {action.default!r}")
            return None
        if isinstance(value, bool) != (action.type is string_to_bool):
            raise ValueError("true or false is expected" if not isinstance(value, bool) else "it is not a switch")
        if isinstance(value, list) != (action.nargs == "+"):
            raise ValueError("a list is expected" if not isinstance(value, list) else "one value is expected")
        texts = value if isinstance(value, list) else [json.dumps(value) if isinstance(value, dict) else value]
        values = [self._get_value(action, str(text)) for text in texts]
        for each in values:
            self._check_value(action, each)
        return values if isinstance(value, list) else values[0]

    def nearest(self, name: str) -> str:
        names = [option.removeprefix("--") for action in self._actions for option in action.option_strings]
        found = difflib.get_close_matches(name.removeprefix("--").replace("-", "_"), names, 1, cutoff=0.5)
        return f"; did you mean {found[0]!r}?" if found else "; --help lists the options"

    def error(self, message: str):
        self.exit(2, f"{self.prog}: error: {message}\n")
