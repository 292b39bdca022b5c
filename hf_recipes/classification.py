"""Tables and figures of a confusion matrix `(true classes, predicted classes)`, for several tasks."""

import numpy as np

from .figures import ACCENT, INK, new_figure

MOST_NAMES = 20  # that a table or figure has room for
WORST_FIRST = f"Worst recall first, at most {MOST_NAMES} classes."


def accuracy_by_class(confusion: np.ndarray, names: list[str]) -> list[dict]:
    """Recall and precision, worst class first; None where a class has no image, or was never the answer."""
    rows = []
    for number, name in enumerate(names):
        right, images, answers = confusion[number, number], confusion[number].sum(), confusion[:, number].sum()
        rows.append(
            {
                "class": name,
                "images": int(images),
                "recall": float(right / images) if images else None,
                "precision": float(right / answers) if answers else None,
            }
        )
    return sorted(rows, key=lambda row: (row["recall"] is None, row["recall"]))


def rank_pairs(confusion: np.ndarray) -> list[tuple[int, int, int]]:
    """`(images, class, other class)` of the unordered pairs of which some image went from one to the other, the most first."""
    mistakes = confusion + confusion.T
    pairs = ((int(mistakes[a, b]), a, b) for a in range(len(mistakes)) for b in range(a) if mistakes[a, b])
    return sorted(pairs, reverse=True)


def confused_pairs(confusion: np.ndarray, names: list[str], most: int = 8) -> list[dict]:
    """Unordered pairs of classes by how many images went from one to the other."""
    total = max(confusion.sum() - np.trace(confusion), 1)
    return [
        {
            "pair": f"{names[b]} and {names[a]}",
            "first as second": int(confusion[b, a]),
            "second as first": int(confusion[a, b]),
            "share of all mistakes, %": float(100 * number / total),
        }
        for number, a, b in rank_pairs(confusion)[:most]
    ]


def plot_accuracy_by_class(confusion: np.ndarray, names: list[str]):
    """Recall of each class and how many of its answers are right, worst recall first; None where there are too many."""
    rows = [row for row in accuracy_by_class(confusion, names) if row["recall"] is not None]
    if len(rows) > MOST_NAMES:
        return None
    figure, axes = new_figure(1, 1, 6.0, 1.0 + 0.25 * len(rows))
    axis, places = axes[0, 0], -np.arange(len(rows))
    axis.barh(places, [row["recall"] for row in rows], color=ACCENT, alpha=0.7, label="recall")
    precisions = [np.nan if row["precision"] is None else row["precision"] for row in rows]
    axis.scatter(precisions, places, color=INK, s=16, zorder=3, label="precision")
    axis.set_yticks(places, [row["class"] for row in rows])
    axis.set(xlim=(0, 1), ylim=(places[-1] - 0.6, 0.6), xlabel="share")
    axis.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    return figure


def plot_confusion(confusion: np.ndarray, names: list[str]):
    """Shares of the true classes in per cent; without names and numbers where there are too many."""
    side = max(4.0, 0.45 * min(len(names), MOST_NAMES) + 1)
    figure, axes = new_figure(1, 1, side, side)
    axis, percent = axes[0, 0], 100 * confusion / confusion.sum(1, keepdims=True).clip(1)
    axis.imshow(percent, cmap="Blues", vmin=0, vmax=100)
    axis.set(xlabel="predicted", ylabel="true")
    if len(names) > MOST_NAMES:
        return figure
    axis.set_xticks(range(len(names)), names, rotation=90)
    axis.set_yticks(range(len(names)), names)
    for row, column in np.ndindex(percent.shape):
        if percent[row, column] >= 0.05:
            color = "white" if percent[row, column] > 60 else "black"
            axis.text(column, row, f"{percent[row, column]:.1f}", ha="center", va="center", size=7, color=color)
    return figure
