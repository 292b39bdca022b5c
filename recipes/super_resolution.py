"""Make small images large by networks that learn what bicubic interpolation leaves out.

    accelerate launch recipes/super_resolution.py --config recipes/super_resolution/light_x2.yaml --dataset YOUR_FOLDER_OR_HUB_ID \
        --benchmarks none

Any data set of images will do, and `--benchmarks` may name others to test on; LPIPS needs VGG16 (`--lpips false` leaves it out). `--help` explains every option.

400 images of BSDS500, one seed, PSNR of the luminance on Set5 / Set14 / B100: 37.49 / 33.08 / 32.05 dB at x2 by light_x2.yaml, 74 minutes on 2 CPU
cores with AMX; 31.56 / 28.20 / 27.42 dB at x4 by light_x4.yaml from its weights, 57 minutes more. Bicubic: 33.68 / 30.33 / 29.56 and 28.43 / 26.09 / 25.96.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from transformers import set_seed

from hf_recipes import SuperResolutionPipeline, SuperResolver, SuperResolverConfig
from hf_recipes.arguments import DatasetArguments, RecipeTrainingArguments
from hf_recipes.run import launch, run
from hf_recipes.super_resolution.analysis import analyse
from hf_recipes.super_resolution.card import make_card
from hf_recipes.super_resolution.data import (
    LoadedImages,
    as_arrays,
    as_pairs,
    check_batch_size,
    collate,
    load_images,
)
from hf_recipes.super_resolution.losses import PerceptualLoss, make_loss
from hf_recipes.super_resolution.metrics import make_compute, make_reduce
from hf_recipes.super_resolution.patches import PatchCutter, PatchMaker
from hf_recipes.super_resolution.start import take_weights
from hf_recipes.super_resolution.vgg import Lpips
from hf_recipes.training import RecipeTrainer


@dataclass
class SuperResolutionArguments(DatasetArguments):
    """Train a super-resolution network, test it, and write its card."""

    dataset_config: str | None = field(default=None, metadata={"help": "Configuration of a data set that has several."})
    image_column: str | None = field(
        default=None,
        metadata={
            "help": "Column of images; found by type if not given. Gray, palettes and CMYK become RGB, alpha is dropped."
        },
    )
    validation_size: int = field(
        default=20, metadata={"help": "Images drawn from the training split by the seed, where there is no validation."}
    )
    benchmarks: list[str] = field(
        default_factory=lambda: ["none"],
        metadata={
            "help": "Ids or folders to test on; a bare name is looked up where --dataset is. Without any, the test split, or "
            "as many images as validate."
        },
    )
    scale: int = field(default=2, metadata={"help": "How many times as wide and high: 2, 3 or 4."})
    architecture: Literal["srcnn", "espcn", "light"] = field(default="light", metadata={"help": "The network."})
    width: int = field(default=32, metadata={"help": "light: channels."})
    blocks: int = field(default=10, metadata={"help": "light: residual blocks."})
    start_from: str | None = field(
        default=None,
        metadata={"help": "Folder or id of a trained network to go on from; of another scale, all but its last layer."},
    )
    patch_size: int = field(default=96, metadata={"help": "Side in pixels of the large patches."})
    least_zoom: float | None = field(
        default=None,
        metadata={
            "help": "Cut large patches anywhere, shrink those of every other batch to as little as this (1: none), and make the small ones of them, for "
            "more variety; if not given, both are cut from the images as they are."
        },
    )
    pixel_loss: Literal["l1", "mse", "charbonnier"] = field(default="l1", metadata={"help": "Distance of pixels."})
    perceptual_weight: float = field(default=0.0, metadata={"help": "Of the loss on VGG16's features."})
    perceptual_layers: list[str] = field(
        default_factory=lambda: ["relu1_2", "relu2_2", "relu3_3"],
        metadata={"help": "Whose features are compared."},
    )
    perceptual_layer_weights: list[float] = field(
        default_factory=list, metadata={"help": "Of these layers, in their order; each counts 1 if not given."}
    )
    perceptual_error: Literal["squared", "absolute"] = field(
        default="squared", metadata={"help": "How they are compared; both relative to those of the target."}
    )
    perceptual_backbone: str = field(
        default="timm/vgg16.tv_in1k", metadata={"help": "VGG16, of the perceptual loss and of LPIPS: an id or folder."}
    )
    frequency_weight: float = field(default=0.0, metadata={"help": "Of the loss on frequencies."})
    lpips: bool = field(default=True, metadata={"help": "Measure the perceptual distance as well."})


def main(recipe: SuperResolutionArguments, args: RecipeTrainingArguments) -> dict[str, Any]:
    set_seed(args.seed)
    model = make_model(recipe)
    before = take_weights(model, recipe.start_from) if recipe.start_from else None
    with args.main_process_first():
        images = load_images(
            recipe.dataset,
            recipe.scale,
            benchmarks=[name for name in recipe.benchmarks if name != "none"],
            config=recipe.dataset_config,
            revision=recipe.dataset_revision,
            image_column=recipe.image_column,
            validation_size=recipe.validation_size,
            patch_size=recipe.patch_size,
            seed=args.seed,
        )
    test = images.splits["test"]
    sources = list(dict.fromkeys(["", *test["source"]]))  # images of the data set itself have no name
    trainer = make_trainer(recipe, args, images, sources, model)
    lpips = Lpips(recipe.perceptual_backbone) if recipe.lpips else None
    report = partial(analyse, validation=images.splits["validation"], test=test, lpips=lpips, before=before)
    return run(trainer, recipe, as_pairs(test, recipe.scale, sources), report)


def make_model(recipe: SuperResolutionArguments) -> SuperResolver:
    return SuperResolver(
        SuperResolverConfig(
            scale=recipe.scale, architecture=recipe.architecture, width=recipe.width, blocks=recipe.blocks
        )
    )


def make_trainer(
    recipe: SuperResolutionArguments,
    args: RecipeTrainingArguments,
    images: LoadedImages,
    sources: list[str],
    model: SuperResolver,
) -> RecipeTrainer:
    check_batch_size(images.splits, args.per_device_eval_batch_size)
    if recipe.least_zoom is None:
        cutter = PatchCutter(recipe.scale, recipe.patch_size)
    else:
        cutter = PatchMaker(recipe.scale, recipe.patch_size, recipe.least_zoom)
    perceptual = None
    if recipe.perceptual_weight:
        perceptual = PerceptualLoss(
            recipe.perceptual_backbone,
            recipe.perceptual_layers,
            recipe.perceptual_layer_weights,
            recipe.perceptual_error,
            args.bf16,
        ).to(args.device)
    return RecipeTrainer(
        model=model,
        args=args,
        card=make_card(recipe, images.tested_on, list(dict.fromkeys(images.splits["test"]["source"]))),
        train_dataset=as_arrays(images.splits["train"], recipe.scale),
        eval_dataset=as_pairs(images.splits["validation"], recipe.scale, sources),
        data_collator=collate,
        augment=cutter,
        compute_loss_func=make_loss(recipe.pixel_loss, perceptual, recipe.perceptual_weight, recipe.frequency_weight),
        compute_metrics=make_compute(sources),
        reduce=make_reduce(recipe.scale),
        pipeline_class=SuperResolutionPipeline,
    )


if __name__ == "__main__":
    launch(main, SuperResolutionArguments)
