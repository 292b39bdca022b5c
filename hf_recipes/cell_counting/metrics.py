"""How well counts and densities fit, and the baselines that every report shows beside a model."""

import datasets
import evaluate
import numpy as np
import torch
from scipy import ndimage
from skimage.filters import threshold_otsu
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from .data import decode_array

LEVELS = 3  # GAME(3) compares 2**3 x 2**3 regions


class CountingError(evaluate.Metric):
    """MAE, RMSE and bias in cells per image, and R2, of predicted against true counts.

    The bias is the mean error: above zero too many cells are counted.

    R2 is 1 - (sum of squared errors) / (sum of squares around the mean true count); NaN where all true counts agree.
    """

    def _info(self):
        return evaluate.MetricInfo(
            description=self.__doc__,
            citation="",
            features=datasets.Features(
                {"predictions": datasets.Value("float64"), "references": datasets.Value("float64")}
            ),
        )

    def _compute(self, predictions, references) -> dict[str, float]:
        predictions, references = np.asarray(predictions, np.float64), np.asarray(references, np.float64)
        errors, spread = predictions - references, ((references - references.mean()) ** 2).sum()
        return {
            "mae": float(np.abs(errors).mean()),
            "rmse": float(np.sqrt((errors**2).mean())),
            "bias": float(errors.mean()),
            "r2": float(1 - (errors**2).sum() / spread) if spread > 0 else float("nan"),
        }


class GridAverageMeanError(evaluate.Metric):
    """GAME(L): the absolute error of the count in each of 2**L x 2**L regions, summed over an image, averaged over images
    (Guerrero-Gomez-Olmedo et al. 2015). GAME(0) is the MAE; a larger L also punishes cells counted in the wrong place.

    Predictions and references are the counts in the regions of the finest grid, `(2**LEVELS, 2**LEVELS)` per image, as
    `region_counts` makes them.
    """

    def _info(self):
        grid = datasets.Array2D((2**LEVELS, 2**LEVELS), "float64")
        return evaluate.MetricInfo(
            description=self.__doc__,
            citation="",
            features=datasets.Features({"predictions": grid, "references": grid}),
        )

    def _compute(self, predictions, references) -> dict[str, float]:
        errors = np.asarray(predictions, np.float64) - np.asarray(references, np.float64)
        results = {}
        for level in range(LEVELS, 0, -1):
            results[f"game{level}"] = float(np.abs(errors).sum((1, 2)).mean())
            errors = errors[:, ::2] + errors[:, 1::2]
            errors = errors[..., ::2] + errors[..., 1::2]
        return dict(sorted(results.items()))


def region_counts(density: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """Sum of `(batch, height, width)` over a grid of regions: `(batch, 2**LEVELS, 2**LEVELS)`, each pixel in one region.

    With the `mask` of a padded batch the grid of each image spans the image and not what was padded.
    """
    mask = torch.ones_like(density) if mask is None else mask
    rows, columns = (grid_cells(inside.sum(1), inside.shape[1]) for inside in (mask.amax(2), mask.amax(1)))
    return torch.einsum("bhw,bhr,bwc->brc", density.float(), rows, columns)


def grid_cells(lengths: torch.Tensor, side: int) -> torch.Tensor:
    """Which of 2**LEVELS equal parts of the first `lengths` `(batch,)` of `side` pixels each pixel is in, one-hot
    `(batch, side, 2**LEVELS)`."""
    pixels = torch.arange(side, device=lengths.device) * 2**LEVELS
    parts = (pixels // lengths.long()[:, None]).clamp(max=2**LEVELS - 1)
    return torch.nn.functional.one_hot(parts, 2**LEVELS).float()


def reduce_batch(batch: dict, outputs) -> tuple[dict, dict]:
    """One row per image of what the metrics need; a regressor has no regions."""
    predictions = {"loss": outputs.losses.float(), "count": outputs.counts.float()}
    references = {"count": batch["labels"].float().sum((1, 2))}
    if outputs.density is not None:
        predictions["regions"] = region_counts(outputs.density, batch.get("pixel_mask"))
        references["regions"] = region_counts(batch["labels"], batch.get("pixel_mask"))
    return predictions, references


def compute_metrics(evaluation) -> dict[str, float]:
    """MAE, RMSE, bias, R2, for maps GAME(1..3), and the loss, from the rows of `reduce_batch`."""
    predictions, references = evaluation.predictions, evaluation.label_ids
    metrics = {"loss": float(np.mean(predictions["loss"], dtype=np.float64))}
    metrics |= CountingError().compute(predictions=predictions["count"], references=references["count"])
    if "regions" in predictions:
        metrics |= GridAverageMeanError().compute(predictions=predictions["regions"], references=references["regions"])
    return metrics


def baseline_counts(train: datasets.Dataset, test: datasets.Dataset) -> dict[str, np.ndarray]:
    """Counts `(test images,)` by three methods that see no shape: what a network must beat.

    The training mean; ridge regression on intensity statistics; and Otsu's threshold with connected components, their
    number scaled to the training counts by least squares through the origin, since touching cells merge.
    """
    train_counts = np.array(train["count"])
    train_features, train_components = (np.array(list(map(f, train))) for f in (intensity_features, count_components))
    test_features, test_components = (np.array(list(map(f, test))) for f in (intensity_features, count_components))
    ridge = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 4, 15))).fit(train_features, train_counts)
    scale = (train_components @ train_counts) / max(train_components @ train_components, 1)
    return {
        "training mean": np.full(len(test), train_counts.mean()),
        "ridge on intensities": ridge.predict(test_features),
        "threshold and components": scale * test_components,
    }


def intensity_features(row: dict) -> np.ndarray:
    """Mean, standard deviation and quantiles of each channel."""
    pixels = decode_array(row)[0].astype(np.float64)
    pixels = pixels.reshape(-1, pixels.shape[-1])
    quantiles = np.quantile(pixels, [0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99], axis=0)
    return np.concatenate([pixels.mean(0), pixels.std(0), quantiles.ravel()])


def count_components(row: dict) -> float:
    """Components on the rarer side of Otsu's threshold, in the channel that varies most, of at least 9 pixels."""
    pixels = decode_array(row)[0].astype(np.float64)
    channel = ndimage.gaussian_filter(pixels[..., pixels.std((0, 1)).argmax()], 1)
    if channel.max() == channel.min():
        return 0.0
    foreground = channel > threshold_otsu(channel)
    foreground = ~foreground if foreground.mean() > 0.5 else foreground
    components, _ = ndimage.label(foreground)
    return float((np.bincount(components.ravel())[1:] >= 9).sum())
