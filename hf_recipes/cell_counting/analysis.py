"""Where a cell counter errs: tables and figures for its card."""

import numpy as np
import torch
from datasets import Dataset
from PIL import Image
from torch import nn

from ..figures import ACCENT, MUTED, new_figure, plot_predicted
from ..model_card import Report, Section
from .data import decode_array
from .image_processing_cell_counter import CellCounterImageProcessor
from .metrics import CountingError, baseline_counts
from .modeling_cell_counter import CellCounter
from .pipeline_cell_counting import CellCountingPipeline, draw_overlay


def analyse(trainer, predictions, train: Dataset, test: Dataset) -> Report:
    """The report of a test: baselines, error by count and by density, the worst images, the receptive field.

    Args:
        trainer: holds the reloaded model, its processor and the training's log.
        predictions: of `trainer.predict(test)`: rows of `reduce_batch`.
        train, test: decoded splits, for the baselines and the pictures.
    """
    counts, truth = predictions.predictions["count"].astype(float), predictions.label_ids["count"].astype(float)
    report = Report(
        baselines={
            name: CountingError().compute(predictions=values, references=truth)
            for name, values in baseline_counts(train, test).items()
        }
    )
    figure, axes = new_figure(1, 2)
    plot_predicted(axes[0, 0], truth, counts, "cells per image")
    axes[0, 1].axhline(0, color=MUTED, linewidth=1)
    axes[0, 1].scatter(truth, counts - truth, s=14, color=ACCENT, alpha=0.7, linewidths=0)
    axes[0, 1].set(xlabel="true cells per image", ylabel="predicted - true")
    bias = (counts - truth).mean()
    low, high = bias_interval(counts - truth, trainer.args.seed)
    report.sections.append(
        Section(
            "Predicted against true counts",
            f"The mean error is {bias:+.2f} cells an image (95 % bootstrap interval {low:+.2f} to {high:+.2f}, "
            f"n = {len(truth)}); below zero the model misses cells.",
            error_by_count(counts, truth),
            figure,
        )
    )
    pipeline = CellCountingPipeline(
        model=trainer.model, image_processor=trainer.processing_class, device=trainer.args.device
    )
    if trainer.model.config.architecture == "unet":
        regions, true_regions = predictions.predictions["regions"], predictions.label_ids["regions"]
        report.sections.append(
            Section(
                "Error by local density",
                "Regions of an eighth by an eighth of an image, in four groups of equal size by how many cells they hold.",
                error_by_density(regions.astype(float), true_regions.astype(float)),
            )
        )
        report.sections.append(worst_images(pipeline, counts, truth, test))
        example = test[int(np.argsort(np.abs(counts - truth))[len(truth) // 2])]
        report.picture = overlay_pair(pipeline, example)
    report.images["example.png"] = example_image(test[0], trainer.processing_class)
    extent, reach = receptive_field(trainer.model)
    report.sections.append(
        Section(
            "Receptive field",
            f"One output looks at {extent} x {extent} pixels; half of its gradient comes from the nearest "
            f"{reach} x {reach} (measured on the trained network with noise as input).",
        )
    )
    return report


def bias_interval(errors: np.ndarray, seed: int) -> tuple[float, float]:
    """95 % percentile bootstrap interval of the mean."""
    draws = np.random.default_rng(seed).choice(errors, (2000, len(errors))).mean(1)
    return float(np.quantile(draws, 0.025)), float(np.quantile(draws, 0.975))


def error_by_count(counts: np.ndarray, truth: np.ndarray) -> list[dict]:
    """Four groups of images of equal size, from few cells to many."""
    rows = []
    for group in np.array_split(np.argsort(truth, kind="stable"), min(4, len(truth))):
        errors = counts[group] - truth[group]
        rows.append(
            {
                "true cells per image": f"{truth[group].min():.0f} to {truth[group].max():.0f}",
                "images": len(group),
                "MAE": float(np.abs(errors).mean()),
                "mean error": float(errors.mean()),
                "MAE, % of the count": float(100 * np.abs(errors).sum() / max(truth[group].sum(), 1e-9)),
            }
        )
    return rows


def error_by_density(regions: np.ndarray, truth: np.ndarray) -> list[dict]:
    """Four groups of regions of equal size, from empty to crowded. Both arrays are `(images, rows, columns)`."""
    regions, truth = regions.ravel(), truth.ravel()
    rows = []
    for group in np.array_split(np.argsort(truth, kind="stable"), 4):
        errors = regions[group] - truth[group]
        rows.append(
            {
                "true cells per region": f"{truth[group].min():.1f} to {truth[group].max():.1f}",
                "regions": len(group),
                "mean absolute error": float(np.abs(errors).mean()),
                "mean error": float(errors.mean()),
            }
        )
    return rows


def worst_images(pipeline: CellCountingPipeline, counts: np.ndarray, truth: np.ndarray, test: Dataset) -> Section:
    """The eight images with the largest errors: each with its predicted density over it."""
    worst = np.argsort(-np.abs(counts - truth), kind="stable")[:8]
    figure, axes = new_figure(2, -(-len(worst) // 2), 2.6, 2.8)
    for axis in axes.flat:
        axis.axis("off")
    for axis, index in zip(axes.flat, worst):
        pixels, _ = decode_array(test[int(index)])
        axis.imshow(pipeline(pixels, return_overlay=True)["overlay"])
        axis.set_title(f"true {truth[index]:.0f}, predicted {counts[index]:.1f}", fontsize=9)
    return Section(
        "The eight worst images", "The predicted density is drawn over each.", figure=figure, shows_data=True
    )


def overlay_pair(pipeline: CellCountingPipeline, row: dict):
    """An image beside the same with its density; the image whose error is the median of the test."""
    pixels, density = decode_array(row)
    result = pipeline(pixels, return_density=True)
    figure, axes = new_figure(1, 2, 4.2, 4.5)
    axes[0, 0].imshow(example_image(row, pipeline.image_processor), cmap="gray")
    axes[0, 0].set_title(f"{row['name']}: {density.sum():.0f} cells")
    axes[0, 1].imshow(draw_overlay(pixels, result["density"]))
    axes[0, 1].set_title(f"predicted density: {result['count']:.1f} cells")
    for axis in axes.flat:
        axis.axis("off")
    return figure


def example_image(row: dict, processor: CellCounterImageProcessor) -> Image.Image:
    """The image as 8-bit PIL, for the card's snippet; other types are mapped as the processor reads them."""
    pixels, _ = decode_array(row)
    if pixels.dtype != np.uint8:
        low, high = processor.intensity_range(pixels)
        pixels = np.rint(((pixels - low) / (high - low)).clip(0, 1) * 255).astype(np.uint8)
    return Image.fromarray(pixels.squeeze())


def receptive_field(model: CellCounter, samples: int = 4) -> tuple[int, int]:
    """Side of the square of pixels that one output depends on, and of the centred one that holds half of the gradient.

    For the U-Net the output is the density in the middle of an image; for a regressor, one place of the features that
    its head sees. Measured by gradients (Luo et al. 2016), summed over `samples` images of noise.
    """
    config = model.config
    features = {"regressor": "features", "deep_regressor": "stages"}.get(config.architecture)
    network: nn.Module = model.network if features is None else getattr(model.network, features)
    side = 16 * model.stride if features is None else -(-max(config.image_size) // model.stride) * model.stride
    generator = torch.Generator().manual_seed(0)
    total = torch.zeros(side, side)
    for _ in range(samples):
        noise = torch.randn(1, config.num_channels, side, side, generator=generator).to(model.device).requires_grad_()
        output = network(noise)
        output[..., output.shape[-2] // 2, output.shape[-1] // 2].sum().backward()
        total += noise.grad.abs().sum((0, 1)).cpu()
    model.zero_grad()
    rows, columns = torch.nonzero(total).unbind(1)
    extent = int(max(rows.max() - rows.min(), columns.max() - columns.min())) + 1
    centre = side // 2
    for reach in range(1, side + 1):
        start = max(centre - reach // 2, 0)
        if total[start : start + reach, start : start + reach].sum() >= total.sum() / 2:
            return extent, reach
    return extent, side
