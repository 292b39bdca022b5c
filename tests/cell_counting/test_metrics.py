from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.metrics import mean_absolute_error, r2_score

from hf_recipes import CellCounter, CellCounterConfig, CellCounterImageProcessor
from hf_recipes.cell_counting.analysis import bias_interval, error_by_count, receptive_field
from hf_recipes.cell_counting.data import load_cells
from hf_recipes.cell_counting.metrics import (
    CountingError,
    GridAverageMeanError,
    baseline_counts,
    compute_metrics,
    reduce_batch,
    region_counts,
)


def test_counting_error_equals_sklearn():
    rng = np.random.default_rng(0)
    truth, predicted = rng.random(50) * 100, rng.random(50) * 100
    metrics = CountingError().compute(predictions=predicted, references=truth)
    assert metrics["mae"] == pytest.approx(mean_absolute_error(truth, predicted))
    assert metrics["rmse"] == pytest.approx(np.sqrt(((truth - predicted) ** 2).mean()))
    assert metrics["r2"] == pytest.approx(r2_score(truth, predicted))
    assert metrics["bias"] == pytest.approx((predicted - truth).mean())
    assert np.isnan(CountingError().compute(predictions=[1, 2], references=[3, 3])["r2"])


def test_game_punishes_the_wrong_place():
    truth, predicted = np.zeros((1, 8, 8)), np.zeros((1, 8, 8))
    truth[0, 0, 0], predicted[0, 0, 1] = 1, 1  # one region of the finest grid to the right
    metrics = GridAverageMeanError().compute(predictions=predicted, references=truth)
    assert metrics == {"game1": 0, "game2": 0, "game3": 2}
    predicted[0, 7, 7] = 3  # three cells too many, in another quarter
    assert GridAverageMeanError().compute(predictions=predicted, references=truth)["game1"] == 3


@pytest.mark.parametrize("size", [(64, 64), (50, 37), (8, 8), (5, 100)])
def test_regions_hold_every_pixel_once(size):
    density = torch.rand(2, *size)
    regions = region_counts(density)
    assert regions.shape == (2, 8, 8)
    assert torch.allclose(regions.sum((1, 2)), density.sum((1, 2)), rtol=1e-5)


def test_the_regions_of_a_padded_image_are_its_own():
    alone = [torch.rand(1, 40, 64), torch.rand(1, 64, 24)]
    padded, mask = torch.zeros(2, 64, 64), torch.zeros(2, 64, 64)
    for row, density in enumerate(alone):
        padded[row, : density.shape[1], : density.shape[2]] = density[0]
        mask[row, : density.shape[1], : density.shape[2]] = 1
    assert torch.allclose(region_counts(padded, mask), torch.cat([region_counts(density) for density in alone]))


def test_metrics_of_a_model_are_those_of_its_rows():
    model = CellCounter(CellCounterConfig(num_channels=1, widths=[8, 8])).eval()
    batch = {"pixel_values": torch.randn(3, 1, 32, 32), "labels": torch.rand(3, 32, 32) / 50}
    output = model(**batch)
    predictions, references = reduce_batch(batch, output)
    rows = SimpleNamespace(
        predictions={key: value.detach().numpy() for key, value in predictions.items()},
        label_ids={key: value.numpy() for key, value in references.items()},
    )
    metrics = compute_metrics(rows)
    errors = (output.counts - batch["labels"].sum((1, 2))).abs()
    assert metrics["mae"] == pytest.approx(errors.mean().item(), rel=1e-5)
    assert metrics["loss"] == pytest.approx(output.loss.item(), rel=1e-5)
    assert metrics["game3"] >= metrics["game2"] >= metrics["game1"] >= metrics["mae"] - 1e-6


def test_the_baselines_are_sound_on_simulated_cells():
    splits = load_cells("synthetic", CellCounterImageProcessor(num_channels=1))
    truth = np.array(splits["test"]["count"])
    errors = {
        name: np.abs(counts - truth).mean() for name, counts in baseline_counts(splits["train"], splits["test"]).items()
    }
    assert errors["training mean"] > 2 * errors["threshold and components"] > 2 * errors["ridge on intensities"] > 0


def test_tables_of_errors():
    truth = np.arange(1.0, 9.0)
    rows = error_by_count(truth + 1, truth)
    assert [row["images"] for row in rows] == [2, 2, 2, 2] and all(row["mean error"] == 1 for row in rows)
    low, high = bias_interval(np.random.default_rng(0).normal(2, 1, 400), seed=0)
    assert low < 2.05 and high > 1.95 and high - low == pytest.approx(4 / 20, rel=0.3)


def test_the_receptive_field_is_what_the_layers_say():
    model = CellCounter(CellCounterConfig(architecture="regressor", image_size=[64, 64], num_channels=1)).eval()
    extent, reach = receptive_field(model)
    assert extent == 22 and 1 < reach <= 22  # 3 + 1, then 2 * 3 - 1 ...: three 3x3 convolutions with pooling see 22
    unet = CellCounter(CellCounterConfig(widths=[8, 8, 8], num_channels=1)).eval()
    assert receptive_field(unet)[0] > extent
