"""Options of the recipe that do not go together."""

from typing import Any

from ..arguments import RecipeTrainingArguments, check_ranges, check_read
from .data import MOST_SIDE
from .strategies import STRATEGIES

ON_IMAGES = tuple(strategy for strategy in STRATEGIES if strategy != "linear_probe")  # which trains on fixed features
# the strategies that an option is for, where it is not for all
READ_BY = {
    "stages": ("partial",),
    "lora_rank": ("lora",),
    **dict.fromkeys(
        (
            "layer_decay",
            "augmentation",
            "upside_down",
            "erasing",
            "hard_classes",
            "hard_augmentation",
            "mixup",
            "cutmix",
            "drop_path",
        ),
        ON_IMAGES,
    ),
}
# the least and the most that options can be
RANGES = {
    "image_size": (1, MOST_SIDE),
    "duplicate_distance": (-1, 64),
    "lora_rank": (1, None),
    "layer_decay": (0, 1),
    "erasing": (0, 1),
    "mixup": (0, None),
    "cutmix": (0, None),
    "label_smoothing": (0, 1),
    "dropout": (0, 1),
    "drop_path": (0, 1),
    "early_stopping": (0, None),
}


def check_options(recipe: Any, args: RecipeTrainingArguments) -> None:
    """Refuses what cannot be and options that nothing reads, before anything is loaded.

    Raises:
        ValueError: naming the option and what it can be.
    """
    check_ranges(recipe, RANGES)
    if args.label_smoothing_factor:
        raise ValueError("--label_smoothing_factor is not read here; give --label_smoothing")
    check_read(recipe, READ_BY)
    for name in ("upside_down", "erasing"):
        if getattr(recipe, name) and recipe.augmentation == "none":
            raise ValueError(f"--{name} is part of an augmentation; --augmentation none has it not")
    if recipe.hard_augmentation != "strong" and not recipe.hard_classes:
        raise ValueError("--hard_augmentation is for --hard_classes, of which none is given")
    if args.metric_for_best_model in ("ece", "eval_ece"):
        args.greater_is_better = False
    if recipe.early_stopping and (not args.load_best_model_at_end or args.metric_for_best_model is None):
        raise ValueError(
            "--early_stopping keeps the best model: give --load_best_model_at_end true and --metric_for_best_model, such as "
            "balanced_accuracy"
        )


def check_hard_classes(hard_classes: list[str], names: list[str]) -> None:
    """Raises a `ValueError` that names the classes there are."""
    unknown = set(hard_classes) - set(names)
    if unknown:
        raise ValueError(
            f"--hard_classes: no class is called {', '.join(sorted(unknown))}; there are {', '.join(names)}"
        )
