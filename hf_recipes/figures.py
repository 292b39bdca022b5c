"""Plotting helpers that several tasks share."""

import matplotlib

matplotlib.use("Agg")

import numpy as np
from matplotlib.figure import Figure

INK, ACCENT, MUTED = "#22313f", "#d1495b", "#8d99ae"
PALETTE = (ACCENT, "#2e86ab", "#3b8b5a", "#b07d2b", "#6a4c93")  # of several lines in one figure


def new_figure(rows: int = 1, columns: int = 1, width: float = 4.2, height: float = 3.4) -> tuple[Figure, np.ndarray]:
    """A figure of `rows` x `columns` axes, each `width` x `height` inches; the axes are always a 2-d array."""
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def plot_predicted(axis, references: np.ndarray, predictions: np.ndarray, unit: str) -> None:
    """Predicted against true values with the line on which they agree."""
    low, high = min(references.min(), predictions.min()), max(references.max(), predictions.max())
    margin = 0.05 * max(high - low, 1)
    ends = [low - margin, high + margin]
    axis.plot(ends, ends, color=MUTED, linewidth=1)
    axis.scatter(references, predictions, s=14, color=ACCENT, alpha=0.7, linewidths=0)
    axis.set(xlabel=f"true {unit}", ylabel=f"predicted {unit}", xlim=ends, ylim=ends)
    axis.set_aspect("equal")


def plot_with_spread(axis, x, means, deviations, label: str | None = None, color: str = ACCENT) -> None:
    """Points with their standard deviations, joined by a line."""
    axis.errorbar(
        x, means, yerr=deviations, color=color, marker="o", markersize=4, capsize=3, linewidth=1.2, label=label
    )
