"""Classify small images by fully connected and convolutional networks.

    accelerate launch recipes/cifar10.py --architecture cnn --flip random --translate 2 --output_dir outputs/cifar10_cnn

Any data set of images with one label each will do; `--help` explains every option.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from datasets import DatasetDict
from timm.optim import Muon
from transformers import BaseImageProcessor, set_seed

from hf_recipes import CifarClassifier, CifarClassifierConfig
from hf_recipes.arguments import DatasetArguments, RecipeTrainingArguments
from hf_recipes.cifar10.analysis import analyse
from hf_recipes.cifar10.augmentation import Augmentation
from hf_recipes.cifar10.card import make_card
from hf_recipes.cifar10.data import ImageCollator, load_images, make_processor, measure_normalization
from hf_recipes.cifar10.metrics import compute_metrics, reduce_batch
from hf_recipes.training import RecipeTrainer, launch, run


@dataclass
class CifarArguments(DatasetArguments):
    """Train a classifier of small images, test it, and write its card."""

    dataset: str = field(default="uoft-cs/cifar10", metadata={"help": "Hub id or folder."})
    image_column: str | None = field(default=None, metadata={"help": "Column of images; found by type if not given."})
    label_column: str | None = field(default=None, metadata={"help": "Column of classes; found by type if not given."})
    image_size: int = field(default=32, metadata={"help": "Side in pixels that images are resized to."})
    validation_size: int = field(default=5000, metadata={"help": "Images drawn from the training split by the seed."})
    train_fraction: float = field(default=1.0, metadata={"help": "Share of the other training images to train on."})
    architecture: Literal["fully_connected", "cnn", "fast_cnn"] = field(
        default="fast_cnn", metadata={"help": "The network."}
    )
    widths: list[int] | None = field(
        default=None, metadata={"help": "Units per layer or channels per block; the network's own if not given."}
    )
    whitening: int = field(
        default=0,
        metadata={"help": "fully_connected: whitened components, 0 for none; fast_cnn: side of the whitened patches."},
    )
    activation: Literal["gelu", "relu"] = field(default="gelu", metadata={"help": "Of fast_cnn."})
    batch_norm: bool = field(default=True, metadata={"help": "Batch norm in fully_connected and cnn."})
    residual: bool = field(default=False, metadata={"help": "Shortcuts in fully_connected."})
    dropout: float = field(default=0.0, metadata={"help": "In fully_connected and cnn."})
    pixel_permutation: int | None = field(
        default=None, metadata={"help": "Seed of one fixed permutation of the pixels of every image: the control."}
    )
    test_time_augmentation: Literal["none", "flip", "flip_and_shift"] = field(
        default="none", metadata={"help": "Views whose logits are averaged in validation, test and use."}
    )
    flip: Literal["none", "random", "alternating"] = field(default="none", metadata={"help": "Augment by mirroring."})
    translate: int = field(default=0, metadata={"help": "Augment by moves of up to so many pixels."})
    cutout: int = field(default=0, metadata={"help": "Augment by blanking a square of this side."})
    noise: float = field(default=0.0, metadata={"help": "Augment by Gaussian noise of this standard deviation."})
    mixup: float = field(default=0.0, metadata={"help": "Augment by mixing two images: alpha of the shares."})
    small_size: int = field(
        default=0,
        metadata={"help": "fast_cnn: side that images are reduced to in the first part of the training; 0 is off."},
    )
    small_until: float = field(default=0.6, metadata={"help": "Share of the training that this part is."})
    label_smoothing: float = field(default=0.0, metadata={"help": "Share of the label spread over all classes."})
    muon: bool = field(
        default=False, metadata={"help": "Optimise matrices by Muon and the rest by AdamW; --optim is not used then."}
    )


def main(recipe: CifarArguments, args: RecipeTrainingArguments) -> dict[str, Any]:
    set_seed(args.seed)
    processor = make_processor(recipe.image_size)
    with args.main_process_first():
        splits, names, image_format = load_images(
            recipe.dataset,
            processor,
            image_column=recipe.image_column,
            label_column=recipe.label_column,
            validation_size=recipe.validation_size,
            train_fraction=recipe.train_fraction,
            seed=args.seed,
        )
    measure_normalization(splits["train"], processor)
    trainer = make_trainer(recipe, args, splits, names, processor, image_format)
    return run(
        trainer,
        recipe,
        splits["test"],
        partial(analyse, train=splits["train"], test=splits["test"], names=names),
    )


def make_trainer(
    recipe: CifarArguments,
    args: RecipeTrainingArguments,
    splits: DatasetDict,
    names: list[str],
    processor: BaseImageProcessor,
    image_format: str,
) -> RecipeTrainer:
    if recipe.small_size and recipe.architecture != "fast_cnn":
        raise ValueError(f"--small_size: a {recipe.architecture} takes one size of images only")
    collator = ImageCollator(processor)
    config = CifarClassifierConfig(
        architecture=recipe.architecture,
        image_size=[recipe.image_size, recipe.image_size],
        widths=recipe.widths,
        whitening=recipe.whitening,
        activation=recipe.activation,
        batch_norm=recipe.batch_norm,
        residual=recipe.residual,
        dropout=recipe.dropout,
        pixel_permutation=recipe.pixel_permutation,
        test_time_augmentation=recipe.test_time_augmentation,
        id2label=dict(enumerate(names)),
        label2id={name: number for number, name in enumerate(names)},
    )
    model = CifarClassifier(config)
    model.fit_whitening(collator(list(splits["train"].take(10_000)))["pixel_values"])
    augmentation = Augmentation(
        num_labels=len(names),
        flip=recipe.flip,
        translate=recipe.translate,
        cutout=recipe.cutout,
        noise=recipe.noise,
        mixup=recipe.mixup,
        small_size=recipe.small_size,
        small_until=recipe.small_until,
        label_smoothing=recipe.label_smoothing,
    )
    return RecipeTrainer(
        model=model,
        args=args,
        card=make_card(recipe, image_format),
        train_dataset=splits["train"],
        eval_dataset=splits["validation"],
        data_collator=collator,
        processing_class=processor,
        compute_metrics=compute_metrics,
        reduce=reduce_batch,
        augment=augmentation,
        callbacks=[augmentation],
        optimizer_cls_and_kwargs=(Muon, muon_options(args)) if recipe.muon else None,
    )


def muon_options(args: RecipeTrainingArguments) -> dict[str, Any]:
    """Of timm's Muon (Jordan et al. 2024), whose steps are scaled to the size of AdamW's."""
    return {"lr": args.learning_rate, "momentum": 0.95, "nesterov": True}


if __name__ == "__main__":
    launch(main, CifarArguments)
