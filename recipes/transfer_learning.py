"""Fine-tune a pretrained image network on a small set of images.

    accelerate launch recipes/transfer_learning.py --config recipes/transfer_learning/full.yaml --dataset YOUR_FOLDER_OR_HUB_ID

Any model of timm and any data set of images with one label each will do; `--help` explains every option.

1,540 images of nine skin lesions, 180 pixels (ISIC): all weights of EfficientNet-Lite0, 600 steps by full.yaml: test balanced accuracy
0.661 +- 0.020 over 3 seeds, 9 minutes each on 2 CPU cores; logistic regression on its frozen features: 0.536 +- 0.022.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import torch
from datasets import DatasetDict
from transformers import (
    BaseImageProcessor,
    PreTrainedModel,
    Trainer,
    TrainerCallback,
    set_seed,
)

from hf_recipes.arguments import DatasetArguments, RecipeTrainingArguments
from hf_recipes.run import launch, run
from hf_recipes.training import RecipeTrainer
from hf_recipes.transfer_learning.analysis import analyse
from hf_recipes.transfer_learning.augmentation import Augmentation
from hf_recipes.transfer_learning.backbones import load_backbone, make_processor
from hf_recipes.transfer_learning.card import make_card
from hf_recipes.transfer_learning.data import LoadedImages, load_images
from hf_recipes.transfer_learning.draws import repeat_rare_classes
from hf_recipes.transfer_learning.features import compute_split_features
from hf_recipes.transfer_learning.inputs import as_features, as_pictures, as_seen, check_seen, collate
from hf_recipes.transfer_learning.metrics import compute_metrics, reduce_batch
from hf_recipes.transfer_learning.options import check_hard_classes, check_options
from hf_recipes.transfer_learning.strategies import Patience, Unfreezing, parameter_groups, prepare
from hf_recipes.transfer_learning.trainer import ProbeTrainer, TransferTrainer, balanced_weights, make_loss

FITTED = 300  # training images that show at each validation how much better the network does on what it has seen
Pipeline = Literal["none", "mirrors", "light", "randaugment", "strong"]


@dataclass
class TransferArguments(DatasetArguments):
    """Fine-tune a pretrained network, test it, and write its card."""

    dataset_config: str | None = field(default=None, metadata={"help": "Configuration of a data set that has several."})
    image_column: str | None = field(default=None, metadata={"help": "Column of images; found by type if not given."})
    label_column: str | None = field(default=None, metadata={"help": "Column of classes; found by type if not given."})
    redraw: bool = field(
        default=False, metadata={"help": "Put the data set's splits together and draw test and validation by the seed."}
    )
    validation_share: float = field(default=0.15, metadata={"help": "Of every class, drawn by the seed."})
    test_share: float = field(default=0.15, metadata={"help": "The same for the test, where it is drawn."})
    train_fraction: float = field(default=1.0, metadata={"help": "Share of the other images to train on."})
    duplicate_distance: int = field(
        default=4, metadata={"help": "Bits in which the hashes of duplicates may differ; -1 looks for none."}
    )
    skip_broken: bool = field(default=False, metadata={"help": "Leave images out that cannot be read."})
    backbone: str = field(
        default="timm/tf_efficientnet_lite0.in1k", metadata={"help": "Id or folder of a model of timm."}
    )
    pooled_head: bool = field(
        default=False,
        metadata={"help": "A pooled linear head instead of the network's own classifier (for VGG and its like)."},
    )
    image_size: int | None = field(default=None, metadata={"help": "Side in pixels; the backbone's own if not given."})
    crop_pct: float | None = field(
        default=None,
        metadata={"help": "Share of an image's shorter side that is seen; the backbone's own if not given."},
    )
    strategy: Literal["linear_probe", "partial", "full", "gradual", "lora", "scratch"] = field(
        default="full", metadata={"help": "Which weights are trained."}
    )
    stages: int = field(default=2, metadata={"help": "partial: stages before the head that are trained."})
    lora_rank: int = field(default=16, metadata={"help": "lora: rank of the updates."})
    layer_decay: float = field(
        default=1.0, metadata={"help": "Each stage learns at this share of the rate of the next one."}
    )
    augmentation: Pipeline = field(default="none", metadata={"help": "Of the training images."})
    upside_down: bool = field(default=False, metadata={"help": "Mirror them vertically as well."})
    erasing: float = field(default=0.0, metadata={"help": "Probability of erasing a random rectangle."})
    hard_classes: list[str] = field(
        default_factory=list, metadata={"help": "Classes with an augmentation of their own."}
    )
    hard_augmentation: Pipeline = field(default="strong", metadata={"help": "That of the hard classes."})
    mixup: float = field(default=0.0, metadata={"help": "alpha of mixup."})
    cutmix: float = field(default=0.0, metadata={"help": "alpha of CutMix."})
    label_smoothing: float = field(default=0.0, metadata={"help": "Share of the label spread over all classes."})
    dropout: float = field(default=0.0, metadata={"help": "Before the head."})
    drop_path: float = field(default=0.0, metadata={"help": "Share of residual branches left out."})
    balance: Literal["none", "weights", "sampling"] = field(
        default="none",
        metadata={"help": "Make classes count equally, by weights of the loss or by drawing them equally often."},
    )
    early_stopping: int = field(
        default=0, metadata={"help": "Stop after so many validations without a gain, and keep the best; 0 never stops."}
    )


def main(recipe: TransferArguments, args: RecipeTrainingArguments) -> dict[str, Any]:
    check_options(recipe, args)
    set_seed(args.seed)
    with args.main_process_first():
        images = load_images(
            recipe.dataset,
            config=recipe.dataset_config,
            revision=recipe.dataset_revision,
            image_column=recipe.image_column,
            label_column=recipe.label_column,
            redraw=recipe.redraw,
            validation_share=recipe.validation_share,
            test_share=recipe.test_share,
            train_fraction=recipe.train_fraction,
            duplicate_distance=recipe.duplicate_distance,
            skip_broken=recipe.skip_broken,
            seed=args.seed,
        )
    check_hard_classes(recipe.hard_classes, images.names)
    model = make_model(recipe, images.names, pretrained=recipe.strategy != "scratch")
    processor = make_processor(model)
    check_seen(processor)
    # of the pretrained network in any case, for the baselines
    frozen = model if recipe.strategy != "scratch" else make_model(recipe, images.names, pretrained=True)
    with args.main_process_first():
        with_features = compute_split_features(images, frozen.to(args.device), processor)
    prepare(model, recipe.strategy, recipe.stages, recipe.lora_rank)
    trainer = make_trainer(recipe, args, images, model, processor, with_features)
    test = as_seen(images.splits["test"], processor)
    return run(trainer, recipe, test, partial(analyse, images=images, with_features=with_features))


def make_model(recipe: TransferArguments, names: list[str], pretrained: bool) -> PreTrainedModel:
    return load_backbone(
        recipe.backbone,
        names,
        image_size=recipe.image_size,
        crop_pct=recipe.crop_pct,
        pooled_head=recipe.pooled_head,
        dropout=recipe.dropout,
        drop_path=recipe.drop_path,
        pretrained=pretrained,
    )


def make_trainer(
    recipe: TransferArguments,
    args: RecipeTrainingArguments,
    images: LoadedImages,
    model: PreTrainedModel,
    processor: BaseImageProcessor,
    with_features: DatasetDict,
) -> RecipeTrainer:
    labels = torch.tensor(images.splits["train"]["label"])
    class_weights = balanced_weights(labels, len(images.names)) if recipe.balance == "weights" else None
    callbacks: list[TrainerCallback] = [Unfreezing(model)] if recipe.strategy == "gradual" else []
    callbacks += [Patience(recipe.early_stopping)] if recipe.early_stopping else []
    shared = {
        "model": model,
        "args": args,
        "card": make_card(recipe, args.weight_average, images.tested_on),
        "data_collator": collate,
        "processing_class": processor,
        "compute_metrics": compute_metrics,
        "reduce": reduce_batch,
        "compute_loss_func": make_loss(recipe.label_smoothing, class_weights),
        "callbacks": callbacks,
    }
    splits = with_features if recipe.strategy == "linear_probe" else images.splits
    drawn = repeat_rare_classes(splits["train"]) if recipe.balance == "sampling" else splits["train"]
    sample = splits["train"].shuffle(seed=0).take(min(len(labels), FITTED))
    if recipe.strategy == "linear_probe":
        return ProbeTrainer(
            train_dataset=as_features(drawn),
            eval_dataset=as_features(splits["validation"]),
            fitted=as_features(sample),
            dropout=recipe.dropout,
            **shared,
        )
    optimizer, settings = Trainer.get_optimizer_cls_and_kwargs(args, model)
    groups = parameter_groups(model, args.learning_rate, args.weight_decay, recipe.layer_decay)
    return TransferTrainer(
        train_dataset=as_pictures(drawn),
        eval_dataset=as_seen(splits["validation"], processor),
        fitted=as_seen(sample, processor),
        augment=make_augmentation(recipe, images.names, processor),
        optimizer_cls_and_kwargs=(optimizer, settings | {"optimizer_dict": groups}),
        **shared,
    )


def make_augmentation(recipe: TransferArguments, names: list[str], processor: BaseImageProcessor) -> Augmentation:
    return Augmentation(
        processor.data_config,
        len(names),
        pipeline=recipe.augmentation,
        upside_down=recipe.upside_down,
        erasing=recipe.erasing,
        hard_classes=[names.index(name) for name in recipe.hard_classes],
        hard_pipeline=recipe.hard_augmentation,
        mixup=recipe.mixup,
        cutmix=recipe.cutmix,
    )


if __name__ == "__main__":
    launch(main, TransferArguments)
