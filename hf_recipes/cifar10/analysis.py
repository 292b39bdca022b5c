"""Where a classifier of small images errs: tables and figures for its card."""

import numpy as np
import torch
from datasets import Dataset
from PIL import Image
from scipy.special import softmax
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ..figures import new_figure
from ..model_card import Report, Section
from .metrics import baseline_accuracies
from .modeling_cifar_classifier import CifarClassifier


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
    train_accuracy = accuracy_on(trainer, train.select(range(min(len(train), 5000))))
    test_accuracy = np.trace(confusion) / len(labels)
    report = Report(
        baselines=baseline_accuracies(train, test),
        measured={"flops": count_flops(trainer.model), "train_accuracy": train_accuracy},
    )
    report.sections = [
        Section(
            "Training against test accuracy",
            f"Accuracy on {min(len(train), 5000):,} training images without augmentation: {train_accuracy:.4f}; on the test "
            f"images: {test_accuracy:.4f}. The gap is {100 * (train_accuracy - test_accuracy):.1f} points.",
        ),
        Section("Accuracy by class", "", accuracy_by_class(confusion, names)),
        Section("Confusion matrix", "Rows are true classes, in per cent.", figure=plot_confusion(confusion, names)),
        Section("Most confused pairs", "", confused_pairs(confusion, names)),
        worst_mistakes(probabilities, labels, test, trainer.processing_class, names),
    ]
    filters = first_filters(trainer.model)
    if filters is not None:
        report.sections.append(Section("First-layer filters", "Each is scaled to its own range.", figure=filters))
    report.images["example.png"] = Image.fromarray(read_pixels(test[0], trainer.processing_class))
    return report


@torch.no_grad()
def accuracy_on(trainer, split: Dataset) -> float:
    """Accuracy of the reloaded model, without touching the report of the training."""
    model, right = trainer.model.eval(), 0
    for rows in split.iter(500):
        batch = trainer.data_collator([dict(zip(rows, row)) for row in zip(*rows.values())])
        logits = model(batch["pixel_values"].to(model.device)).logits
        right += int((logits.argmax(1).cpu() == batch["labels"]).sum())
    return right / len(split)


def count_flops(model: CifarClassifier) -> int:
    """Floating-point operations to classify one image, a multiplication and an addition counted as two."""
    image = torch.zeros(1, model.config.num_channels, *model.config.image_size, device=model.device)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.eval()(image)
    return counter.get_total_flops()


def accuracy_by_class(confusion: np.ndarray, names: list[str]) -> list[dict]:
    """Recall and precision, worst class first."""
    rows = [
        {
            "class": name,
            "images": int(confusion[number].sum()),
            "recall": float(confusion[number, number] / max(confusion[number].sum(), 1)),
            "precision": float(confusion[number, number] / max(confusion[:, number].sum(), 1)),
        }
        for number, name in enumerate(names)
    ]
    return sorted(rows, key=lambda row: row["recall"])[:20]


def confused_pairs(confusion: np.ndarray, names: list[str], most: int = 8) -> list[dict]:
    """Unordered pairs of classes by how many images went from one to the other."""
    mistakes = confusion + confusion.T
    pairs = sorted(((mistakes[a, b], a, b) for a in range(len(names)) for b in range(a)), reverse=True)
    total = max(confusion.sum() - np.trace(confusion), 1)
    return [
        {
            "pair": f"{names[b]} and {names[a]}",
            "first as second": int(confusion[b, a]),
            "second as first": int(confusion[a, b]),
            "share of all mistakes, %": float(100 * number / total),
        }
        for number, a, b in pairs[:most]
        if number
    ]


def plot_confusion(confusion: np.ndarray, names: list[str]):
    side = max(4.0, 0.45 * len(names) + 1)
    figure, axes = new_figure(1, 1, side, side)
    axis, percent = axes[0, 0], 100 * confusion / confusion.sum(1, keepdims=True).clip(1)
    axis.imshow(percent, cmap="Blues", vmin=0, vmax=100)
    if len(names) <= 20:
        for row, column in np.ndindex(percent.shape):
            if percent[row, column] >= 0.05:
                color = "white" if percent[row, column] > 60 else "black"
                axis.text(column, row, f"{percent[row, column]:.1f}", ha="center", va="center", size=7, color=color)
    axis.set_xticks(range(len(names)), names, rotation=90)
    axis.set_yticks(range(len(names)), names)
    axis.set(xlabel="predicted", ylabel="true")
    return figure


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
    return Section("Worst mistakes", "The wrong answers of the test that the model was surest of.", figure=figure)


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
        weights = weights.reshape(-1, 3, *config.image_size)
    weights = weights[weights.flatten(1).norm(dim=1).argsort(descending=True)[:most]]
    figure, axes = new_figure(-(-len(weights) // 12), 12, 0.7, 0.7)
    for axis in axes.flat:
        axis.axis("off")
    for axis, each in zip(axes.flat, weights):
        axis.imshow(((each - each.min()) / (each.max() - each.min()).clamp(min=1e-9)).movedim(0, -1).numpy())
    return figure
