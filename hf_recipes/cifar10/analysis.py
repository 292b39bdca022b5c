"""Where a classifier of small images errs: tables and figures for its card."""

import math

import numpy as np
import torch
from datasets import Dataset
from PIL import Image
from scipy.special import softmax
from torch import nn
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode

from ..classification import (
    MOST_NAMES,
    WORST_FIRST,
    accuracy_by_class,
    confused_pairs,
    plot_accuracy_by_class,
    plot_confusion,
)
from ..figures import new_figure
from ..model_card import Report, Section
from .metrics import baseline_accuracies
from .modeling_cifar_classifier import CifarClassifier

# what the pictures of filters show where they are not plainly those of a layer that learns
FILTERS = {
    (
        "fast_cnn",
        True,
    ): " They are those of the frozen whitening, each with its negative: principal components of patches, and nothing learned.",
    (
        "fully_connected",
        True,
    ): " They are those of the first layer that learns, seen through the frozen whitening: they are made of its components.",
}


def analyse(trainer, predictions, train: Dataset, test: Dataset, names: list[str]) -> Report:
    """The report of a test.

    Args:
        trainer: holds the reloaded model, its processor and the training's log.
        predictions: of `trainer.predict(test)`: rows of `reduce_batch`.
        train, test: decoded splits, for the baselines, the gap and the pictures.
        names: of the classes.
    """
    probabilities = softmax(predictions.predictions["logits"].astype(float), axis=1)
    labels = predictions.label_ids["label"].astype(int)
    confusion = np.zeros((len(names), len(names)), int)
    np.add.at(confusion, (labels, probabilities.argmax(1)), 1)
    sample = train.shuffle(seed=0).take(5000)
    train_accuracy = accuracy_on(trainer, sample)
    test_accuracy = np.trace(confusion) / len(labels)
    flops = count_flops(trainer.model)
    report = Report(
        baselines=baseline_accuracies(train, test), measured={"flops": flops, "train_accuracy": train_accuracy}
    )
    same_views = "" if trainer.model.config.test_time_augmentation == "none" else ", both with test-time augmentation"
    report.sections = [
        Section(
            "Cost",
            f"{flops:,} floating-point operations an image in convolutions and linear layers, a multiplication and an addition counted as two.",
        ),
        Section(
            "Training against test accuracy",
            f"Accuracy on {len(sample):,} training images as they are: {train_accuracy:.4f}; on the test "
            f"images: {test_accuracy:.4f}{same_views}. The gap is {100 * (train_accuracy - test_accuracy):.1f} points.",
        ),
        Section(
            "Accuracy by class",
            WORST_FIRST,
            accuracy_by_class(confusion, names)[:MOST_NAMES],
            figure=plot_accuracy_by_class(confusion, names),
        ),
        Section("Confusion matrix", "Rows are true classes, in per cent.", figure=plot_confusion(confusion, names)),
        Section("Most confused pairs", "", confused_pairs(confusion, names)),
        worst_mistakes(probabilities, labels, test, trainer.processing_class, names),
    ]
    filters = first_filters(trainer.model)
    if filters is not None:
        text = (
            "The 48 with the largest norm, or all where there are fewer; each is scaled to its own range."
            + FILTERS.get((trainer.model.config.architecture, bool(trainer.model.config.whitening)), "")
        )
        report.sections.append(Section("First-layer filters", text, figure=filters))
    report.images["example.png"] = Image.fromarray(read_pixels(test[0], trainer.processing_class))
    return report


@torch.no_grad()
def accuracy_on(trainer, split: Dataset) -> float:
    """Accuracy of the reloaded model, without touching the report of the training."""
    model, right = trainer.model.eval(), 0
    for batch in DataLoader(split, 500, collate_fn=trainer.data_collator):
        logits = model(batch["pixel_values"].to(model.device)).logits
        right += int((logits.argmax(1).cpu() == batch["labels"]).sum())
    return right / len(split)


def count_flops(model: CifarClassifier) -> int:
    """Floating-point operations of convolutions and linear layers to classify one image in all its views, a multiplication and an addition
    counted as two."""
    image = torch.zeros(1, model.config.num_channels, *model.config.image_size, device=model.device)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.eval()(image)
    return counter.get_total_flops()


def worst_mistakes(
    probabilities: np.ndarray, labels: np.ndarray, test: Dataset, processor, names: list[str], most: int = 12
) -> Section:
    """The wrong answers that the model was surest of."""
    predicted = probabilities.argmax(1)
    wrong = np.flatnonzero(predicted != labels)
    worst = wrong[np.argsort(-probabilities[wrong, predicted[wrong]])][:most]
    if not len(worst):
        return Section("Worst mistakes", "There is none.")
    figure, axes = new_figure(-(-len(worst) // 6), min(len(worst), 6), 1.7, 1.9)
    for axis in axes.flat:
        axis.axis("off")
    for axis, place in zip(axes.flat, worst):
        axis.imshow(read_pixels(test[int(place)], processor))
        sure = probabilities[place, predicted[place]]
        axis.set_title(f"{names[predicted[place]]} {sure:.0%}\nis {names[labels[place]]}", size=8)
    return Section(
        "Worst mistakes", "The wrong answers of the test that the model was surest of.", figure=figure, shows_data=True
    )


def read_pixels(row: dict, processor) -> np.ndarray:
    """uint8 `(height, width, 3)`."""
    return np.frombuffer(row["pixels"], np.uint8).reshape(processor.size["height"], processor.size["width"], 3)


def first_filters(model: CifarClassifier, most: int = 48):
    """What the first layer looks for, as colour pictures, those with the largest norm first."""
    config, layers = model.config, [module for module in model.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]
    if config.num_channels != 3:
        return None
    weights = layers[0].weight.detach().float().cpu()
    if config.architecture == "fully_connected":
        if config.whitening:  # the first trained layer, seen through the whitening
            weights = layers[1].weight.detach().float().cpu() @ weights
        weights = weights.reshape(-1, 3, math.prod(config.image_size))
        if config.pixel_permutation is not None:
            weights = weights[..., model.permutation.argsort().cpu()]
        weights = weights.view(-1, 3, *config.image_size)
    weights = weights[weights.flatten(1).norm(dim=1).argsort(descending=True)[:most]]
    figure, axes = new_figure(-(-len(weights) // 12), 12, 0.7, 0.7)
    for axis in axes.flat:
        axis.axis("off")
    for axis, each in zip(axes.flat, weights):
        axis.imshow(((each - each.min()) / (each.max() - each.min()).clamp(min=1e-9)).movedim(0, -1).numpy())
    return figure
