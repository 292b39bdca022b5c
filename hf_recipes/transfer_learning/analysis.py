"""What a fine-tuned classifier gets wrong, and what to do about it: tables and figures for its card."""

import warnings
from typing import Any

import numpy as np
import torch
from scipy.special import softmax
from torch.utils.data import DataLoader

from ..classification import (
    MOST_NAMES,
    WORST_FIRST,
    accuracy_by_class,
    confused_pairs,
    plot_accuracy_by_class,
    plot_confusion,
)
from ..figures import ACCENT, INK, MUTED, PALETTE, new_figure
from ..intervals import interval, resample
from ..model_card import Report, Section
from .data import LoadedImages
from .features import baseline_probabilities
from .inputs import as_seen, collate, to_pil
from .metrics import METRICS, measure
from .pictures import short, show_doubtful_labels, show_pairs, worst_losses


def analyse(trainer, predictions, images: LoadedImages, with_features) -> Report:
    """The report of a test.

    Args:
        trainer: holds the reloaded model, its processor and the training's log.
        predictions: of `trainer.predict(test)`: rows of `reduce_batch`.
        images: decoded splits and what was found of them.
        with_features: the splits with the features of the frozen backbone.
    """
    logits = predictions.predictions["logits"].astype(float)
    labels = predictions.label_ids["label"].astype(int)
    names, test = images.names, images.splits["test"]
    if predictions.label_ids["index"].tolist() != test["index"][:]:
        raise AssertionError("the predictions are not in the order of the test images")
    probabilities, confusion = softmax(logits, 1), np.zeros((len(names),) * 2, int)
    np.add.at(confusion, (labels, logits.argmax(1)), 1)
    baselines = baseline_probabilities(with_features["train"], with_features["test"], len(names))
    baseline_logits = {name: np.log(np.clip(each, 1e-7, 1)) for name, each in baselines.items()}
    report = Report(baselines={name: measure(each, labels) for name, each in baseline_logits.items()})
    report.measured = {
        "test_top_2_accuracy": float((np.argsort(-logits, axis=1)[:, :2] == labels[:, None]).any(1).mean()),
        "left_out_broken": images.broken,
        "trained_parameters": trainer.trained_parameters,
        "eval_recall_by_class": validation_recall(trainer, images),
        "train_examples": len(images.splits["train"]),
        "examples": describe_examples(images, labels, logits, baseline_logits),
    }
    report.sections = [
        describe_intervals(logits, baseline_logits["logistic regression"], labels),
        Section(
            "Accuracy by class",
            f"{WORST_FIRST} The intervals are those of a bootstrap within the classes; where all answers are right or all wrong they have no width, "
            "which says that the images are few and not that the number is sure.",
            with_class_intervals(accuracy_by_class(confusion, names)[:MOST_NAMES], logits, labels, names),
            figure=plot_accuracy_by_class(confusion, names),
        ),
        Section(
            "Accuracy and the number of training images",
            "A dot for each class.",
            figure=plot_class_sizes(
                confusion, np.bincount(images.splits["train"]["label"], minlength=len(names)), names
            ),
        ),
        Section("Confusion matrix", "Rows are true classes, in per cent.", figure=plot_confusion(confusion, names)),
        Section(
            "Most confused pairs",
            "",
            confused_pairs(confusion, names),
            figure=show_pairs(confusion, logits, labels, test, names),
            shows_data=True,
        ),
        worst_losses(trainer, probabilities, labels, test, names),
        show_doubtful_labels(with_features["train"], images.splits["train"], names),
        describe_history(trainer.state.log_history),
        Section(
            "Calibration",
            "The share of right answers among those that the network gives with about the same confidence; on the diagonal "
            "they agree. The numbers are those of the test images.",
            figure=plot_calibration(probabilities, labels),
        ),
        describe_duplicates(images),
    ]
    report.sections = [section for section in report.sections if section is not None]
    report.images["example.png"] = to_pil(test[0])
    return report


def describe_examples(
    images: LoadedImages, labels: np.ndarray, logits: np.ndarray, baselines: dict[str, np.ndarray]
) -> dict[str, Any]:
    """By test image, for the study's paired comparisons: its number, its class, and what it adds to the balanced accuracy of the model and of
    the baselines, so that the mean is the balanced accuracy."""
    test, counts = images.splits["test"], np.bincount(labels, minlength=logits.shape[1])
    first_of = {"train": 0, "validation": 1_000_000_000, "test": 2_000_000_000}  # rows are numbered by split
    weights = len(labels) / ((counts > 0).sum() * counts[labels])
    scores = {
        name: ((each.argmax(1) == labels) * weights).round(5).tolist()
        for name, each in {"model": logits, **baselines}.items()
    }
    ids = [first_of[split] + index for split, index in zip(test["split"], test["index"])]
    return {"ids": ids, "strata": labels.tolist(), "classes": images.names, "scores": {"balanced_accuracy": scores}}


@torch.no_grad()
def validation_recall(trainer, images: LoadedImages) -> dict[str, float | None]:
    """Recall of each class on the validation images, by which hard classes can be chosen; by the reloaded model."""
    model, confusion = trainer.model, np.zeros((len(images.names),) * 2, int)
    loader = DataLoader(
        as_seen(images.splits["validation"], trainer.processing_class),
        trainer.args.per_device_eval_batch_size,
        collate_fn=collate,
    )
    for batch in loader:
        answers = model(batch["pixel_values"].to(model.device)).logits.argmax(1).cpu().numpy()
        np.add.at(confusion, (batch["labels"].numpy(), answers), 1)
    return {row["class"]: row["recall"] for row in accuracy_by_class(confusion, images.names)}


def with_class_intervals(
    rows: list[dict[str, Any]], logits: np.ndarray, labels: np.ndarray, names: list[str]
) -> list[dict[str, Any]]:
    """The rows of `accuracy_by_class` with 95 % intervals of recall and precision."""
    answers = logits.argmax(1)

    def by_class(chosen: np.ndarray) -> np.ndarray:
        right = np.bincount(labels[chosen][labels[chosen] == answers[chosen]], minlength=len(names))
        images, given = (np.bincount(each[chosen], minlength=len(names)) for each in (labels, answers))
        with np.errstate(invalid="ignore"):
            return right / np.array([images, given])

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a class that is never the answer has no precision
        low, high = interval(resample(by_class, len(labels), strata=labels))
    described = []
    for row in rows:
        place = names.index(row["class"])
        spans = {
            key: None if row[key] is None else f"{low[part, place]:.2f} to {high[part, place]:.2f}"
            for part, key in enumerate(("recall", "precision"))
        }
        described.append(
            {
                "class": row["class"],
                "images": row["images"],
                "recall": row["recall"],
                "its interval": spans["recall"],
                "precision": row["precision"],
                "interval of the precision": spans["precision"],
            }
        )
    return described


def describe_intervals(logits: np.ndarray, baseline: np.ndarray, labels: np.ndarray) -> Section:
    """Each metric with its interval, and its difference to a baseline; logits `(images, classes)`."""

    def both(rows: np.ndarray) -> np.ndarray:
        return np.array([list(measure(each[rows], labels[rows]).values()) for each in (logits, baseline)])

    everything, draws = both(np.arange(len(labels))), resample(both, len(labels), strata=labels)
    (low, high), (low_gain, high_gain) = interval(draws[:, 0]), interval(draws[:, 0] - draws[:, 1])
    rows = [
        {
            "metric": name,
            "value": float(everything[0, place]),
            "95 % interval": f"{low[place]:.3f} to {high[place]:.3f}",
            "minus logistic regression": f"{everything[0, place] - everything[1, place]:+.3f}",
            "its 95 % interval": f"{low_gain[place]:+.3f} to {high_gain[place]:+.3f}",
        }
        for place, name in enumerate(METRICS.values())
    ]
    text = (
        f"Percentile bootstrap over the {len(labels)} test images, class by class; the difference to logistic regression on the frozen features of "
        "the same backbone is paired. The calibration error of a resample is larger on average than that of the test, so that its interval "
        "lies too high."
    )
    return Section("How sure the numbers are", text, rows)


def plot_class_sizes(confusion: np.ndarray, sizes: np.ndarray, names: list[str]):
    """Recall of each class against its number of training images, `(classes,)`; the smallest classes are named."""
    figure, axes = new_figure(1, 1, 5.2, 3.4)
    axis, tested = axes[0, 0], confusion.sum(1) > 0
    recall = np.diag(confusion)[tested] / confusion.sum(1)[tested]
    axis.scatter(sizes[tested], recall, color=ACCENT, s=18)
    order = np.lexsort((recall, sizes[tested]))[:MOST_NAMES]
    for place, row in enumerate(order):  # names would cover each other
        at = sizes[tested][row], recall[row]
        axis.annotate(f"{place + 1}", at, xytext=(4, 3), textcoords="offset points", size=8)
        name = f"{place + 1}  {short(np.array(names)[tested][row])}"
        axis.text(1.03, 1 - place / MOST_NAMES, name, transform=axis.transAxes, size=7, va="top")
    ticks = [
        tick for tick in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000) if sizes.min() <= tick <= sizes.max()
    ]
    axis.set(xscale="log", xlabel="training images of the class", ylabel="recall", ylim=(-0.03, 1.05))
    axis.set_xticks(ticks, ticks, minor=False)
    axis.minorticks_off()
    axis.margins(x=0.15)
    axis.grid(alpha=0.3)
    return figure


# -- curves ----------------------------------------------------------------------------------------
def describe_history(log: list[dict[str, Any]]) -> Section:
    text = (
        "On the validation images, and on training images (a sample of at most 300) as they are. Where the lines part, the network learns its "
        "training images by heart."
        if any("fitted_log_loss" in entry for entry in log)
        else ""
    )
    return Section("Training against validation", text, figure=plot_history(log))


def plot_history(log: list[dict[str, Any]]):
    """Balanced accuracy and log loss on validation images and on training images as they are."""
    figure, axes = new_figure(1, 2, 4.2, 3.0)
    for axis, key in zip(axes[0], ("balanced_accuracy", "log_loss")):
        for color, prefix, label in ((PALETTE[1], "fitted", "training images"), (ACCENT, "eval", "validation")):
            points = [(entry["step"], entry[f"{prefix}_{key}"]) for entry in log if f"{prefix}_{key}" in entry]
            if points:
                axis.plot(*zip(*points), color=color, marker="o", markersize=3, label=label)
        axis.set(xlabel="step", ylabel=METRICS[key])
        axis.grid(alpha=0.3)
    if axes[0, 0].lines:
        axes[0, 0].legend(frameon=False)
    return figure


def plot_calibration(probabilities: np.ndarray, labels: np.ndarray, bins: int = 10):
    """The share of right answers against the confidence, in bins of equal width; probabilities `(images, classes)`."""
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    place = np.clip((confidence * bins).astype(int), 0, bins - 1)
    counts = np.bincount(place, minlength=bins)
    filled = counts > 0
    means = np.bincount(place, confidence, bins)[filled] / counts[filled]
    shares = np.bincount(place, right, bins)[filled] / counts[filled]
    figure, axes = new_figure(1, 1, 3.8, 3.6)
    axis = axes[0, 0]
    axis.plot([0, 1], [0, 1], color=MUTED, linewidth=1)
    axis.plot(means, shares, color=ACCENT, marker="o", markersize=4)
    for x, y, count in zip(means, shares, counts[filled]):
        axis.annotate(str(count), (x, y), xytext=(4, -9), textcoords="offset points", size=7, color=INK)
    axis.set(xlabel="confidence", ylabel="share of right answers", xlim=(0, 1.02), ylim=(0, 1.02))
    return figure


def describe_duplicates(images: LoadedImages) -> Section | None:
    if not images.duplicates:
        return None
    text = f"{images.groups} groups of images are the same or nearly so, by their perceptual hash; splits are drawn so that they stay together."
    if images.groups > len(images.duplicates):
        text += f" {len(images.duplicates)} of them are shown, those of several classes first."
    if images.dropped:
        text += f" {images.dropped} training images are left out since a duplicate of theirs is in the validation or the test."
    return Section("Duplicates", text, images.duplicates)
