"""Count cells in microscopy images.

    accelerate launch recipes/cell_counting.py --config recipes/cell_counting/quickstart.yaml

The YAML files in recipes/cell_counting are the configurations that its study files run on named data and splits;
model_cards/cell_counting.md holds what they reach.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from transformers import set_seed

from hf_recipes import CellCounter, CellCounterConfig, CellCounterImageProcessor, CellCountingPipeline
from hf_recipes.arguments import DatasetArguments, RecipeTrainingArguments
from hf_recipes.cell_counting.analysis import analyse
from hf_recipes.cell_counting.augmentation import Augmentation
from hf_recipes.cell_counting.card import make_card
from hf_recipes.cell_counting.data import CellCollator, check_one_size, load_cells, measure_normalization
from hf_recipes.cell_counting.metrics import compute_metrics, reduce_batch
from hf_recipes.run import launch, run
from hf_recipes.training import RecipeTrainer


@dataclass
class CellCountingArguments(DatasetArguments):
    """Train a cell counter, test it, and write its card."""

    dataset: str = field(default="synthetic", metadata={"help": "Hub id, folder, or 'synthetic'."})
    dataset_config: str | None = field(default=None, metadata={"help": "Configuration of a data set that has several."})
    image_column: str | None = field(default=None, metadata={"help": "Column of images; found by name if not given."})
    label_column: str | None = field(
        default=None, metadata={"help": "Column of annotations; found by name if not given."}
    )
    label_kind: Literal["points", "dots", "mask", "binary", "instances", "density"] | None = field(
        default=None, metadata={"help": "What that column holds; told from its name if not given."}
    )
    reference_column: str | None = field(
        default=None, metadata={"help": "Column that validation and test are measured against, if not label_column."}
    )
    drop_outside_points: bool = field(default=False, metadata={"help": "Drop points outside their image, do not fail."})
    train_size: int | None = field(
        default=None, metadata={"help": "Training images drawn by the seed; all if not given."}
    )
    validation_size: int | None = field(default=None, metadata={"help": "Most images to draw for validation."})
    test_size: int | None = field(default=None, metadata={"help": "Draw the test from all images, not the data's own."})
    test_names: str | None = field(
        default=None,
        metadata={"help": "Test on the images whose file name this regular expression finds: a slide, a patient."},
    )
    image_size: list[int] | None = field(default=None, metadata={"help": "Height and width to resize images to."})
    sigma: float = field(default=2.0, metadata={"help": "Of the Gaussian around a cell, in pixels of the original."})
    num_channels: int = field(default=3, metadata={"help": "Channels of the model's input: 1 (gray) or 3."})
    intensity: Literal["type", "image"] = field(
        default="type",
        metadata={"help": "0..1 is the range of the number's type, or of each image (see the processor)."},
    )
    architecture: Literal["regressor", "deep_regressor", "unet"] = field(
        default="unet", metadata={"help": "The network."}
    )
    widths: list[int] | None = field(
        default=None, metadata={"help": "Channels per stage; the network's own if not given."}
    )
    stem_stride: int = field(
        default=2, metadata={"help": "Side in pixels of the blocks that the deep regressor and the U-Net work on."}
    )
    local_count_weight: float = field(default=1.0, metadata={"help": "U-Net: weight of the local counts in the loss."})
    geometry: bool = field(default=True, metadata={"help": "Augment by flips and quarter turns."})
    crop: float = field(default=1.0, metadata={"help": "Augment by crops of at least this share of a side; 1 is off."})
    zoom: float = field(default=0.0, metadata={"help": "Augment by resizing up to this share; 0 is off."})
    intensity_change: float = field(default=0.0, metadata={"help": "Augment contrast and brightness; 0 is off."})
    noise: float = field(default=0.0, metadata={"help": "Augment by noise and blur; 0 is off."})


def main(recipe: CellCountingArguments, args: RecipeTrainingArguments) -> dict[str, Any]:
    set_seed(args.seed)
    processor = CellCounterImageProcessor(num_channels=recipe.num_channels, intensity=recipe.intensity)
    with args.main_process_first():
        splits = load_cells(
            recipe.dataset,
            processor,
            config=recipe.dataset_config,
            revision=recipe.dataset_revision,
            image_column=recipe.image_column,
            label_column=recipe.label_column,
            label_kind=recipe.label_kind,
            reference_column=recipe.reference_column,
            sigma=recipe.sigma,
            image_size=recipe.image_size,
            train_size=recipe.train_size,
            validation_size=recipe.validation_size,
            test_size=recipe.test_size,
            test_names=recipe.test_names,
            drop_outside_points=recipe.drop_outside_points,
            seed=args.seed,
        )
    if recipe.architecture != "unet":
        check_one_size(splits)
    measure_normalization(splits["train"], processor)
    train = splits["train"]
    config = CellCounterConfig(
        architecture=recipe.architecture,
        num_channels=recipe.num_channels,
        image_size=train[0]["shape"][:2],
        widths=recipe.widths,
        stem_stride=recipe.stem_stride,
        local_count_weight=recipe.local_count_weight,
        count_mean=float(train.to_pandas()["count"].mean()),
        count_std=float(max(train.to_pandas()["count"].std(ddof=0), 1.0)),
    )
    model = CellCounter(config)
    trainer = RecipeTrainer(
        model=model,
        args=args,
        card=make_card(recipe),
        train_dataset=train,
        eval_dataset=splits["validation"],
        data_collator=CellCollator(processor),
        processing_class=processor,
        compute_metrics=compute_metrics,
        reduce=reduce_batch,
        augment=Augmentation(
            geometry=recipe.geometry,
            crop=recipe.crop,
            zoom=recipe.zoom,
            intensity=recipe.intensity_change,
            noise=recipe.noise,
            keep_size=recipe.architecture != "unet",
            stride=model.stride,
        ),
        pipeline_class=CellCountingPipeline,
    )
    return run(trainer, recipe, splits["test"], partial(analyse, train=train, test=splits["test"]))


if __name__ == "__main__":
    launch(main, CellCountingArguments)
