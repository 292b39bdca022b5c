from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, log_loss

from hf_recipes.intervals import interval, resample
from hf_recipes.transfer_learning.analysis import describe_examples
from hf_recipes.transfer_learning.metrics import UnbalancedClassification
from hf_recipes.transfer_learning.trainer import balanced_weights, make_loss


def test_metrics_are_those_of_scikit_learn():
    generator = np.random.default_rng(0)
    labels = generator.choice(4, 200, p=[0.6, 0.2, 0.15, 0.05])
    logits = generator.normal(size=(200, 4)) + 1.5 * np.eye(4)[labels]
    metrics = UnbalancedClassification().compute(predictions=logits, references=labels)
    answers, shares = logits.argmax(1), np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert metrics["accuracy"] == pytest.approx(accuracy_score(labels, answers))
    assert metrics["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(labels, answers))
    assert metrics["macro_f1"] == pytest.approx(f1_score(labels, answers, average="macro"))
    assert metrics["log_loss"] == pytest.approx(log_loss(labels, shares))


def test_calibration_error_is_the_gap_of_confidence_and_accuracy():
    logits = np.log(np.array([[0.8, 0.2]] * 10))
    labels = np.array([0] * 6 + [1] * 4)  # right in 6 of 10, at a confidence of 0.8
    assert UnbalancedClassification().compute(predictions=logits, references=labels)["ece"] == pytest.approx(0.2)


def test_classes_without_an_image_do_not_count():
    logits = np.eye(3)[[0, 0, 1]] * 5
    metrics = UnbalancedClassification().compute(predictions=logits, references=[0, 0, 1])
    assert metrics["balanced_accuracy"] == metrics["macro_f1"] == 1


def test_paired_scores_are_parts_of_the_balanced_accuracy():
    images = SimpleNamespace(names=["a", "b"], splits={"test": {"split": ["train"] * 4, "index": [0, 1, 2, 3]}})
    found = describe_examples(images, np.array([0, 0, 0, 1]), np.eye(2)[[0, 1, 1, 1]], {})
    assert np.mean(found["scores"]["balanced_accuracy"]["model"]) == pytest.approx((1 / 3 + 1) / 2, abs=1e-4)


def test_strata_are_drawn_as_often_as_there_are():
    strata = np.array([0] * 5 + [1] * 3)
    draws = resample(lambda rows: [(strata[rows] == 0).sum(), len(rows), len(set(rows))], 8, strata=strata)
    assert (draws[:, 0] == 5).all() and (draws[:, 1] == 8).all() and draws[:, 2].min() < 8
    groups = np.array([0, 0, 1, 1, 2, 3, 4, 5])
    draws = resample(lambda rows: np.bincount(groups[rows], minlength=6), 8, groups=groups, strata=strata)
    assert (draws[:, :3] @ [1 / 2, 1 / 2, 1] == 3).all() and (draws[:, 3:].sum(1) == 3).all()


def test_intervals_cover_the_mean_as_often_as_they_say():
    generator, covered = np.random.default_rng(0), 0
    for trial in range(200):
        values = generator.exponential(size=80)
        low, high = interval(resample(lambda rows, of=values: of[rows].mean(), 80, resamples=200, seed=trial))
        covered += low <= 1 <= high
    assert 0.88 < covered / 200 < 0.98


def test_groups_are_drawn_whole():
    values, groups = np.repeat([0.0, 1.0], 50), np.repeat(np.arange(4), 25)
    alone = resample(lambda rows: values[rows].mean(), 100)
    together = resample(lambda rows: values[rows].mean(), 100, groups=groups)
    assert set(together) <= {0, 0.25, 0.5, 0.75, 1} and together.std() > 3 * alone.std()


def test_the_loss_weighs_classes_and_smooths_labels():
    logits, labels = torch.randn(60, 3), torch.tensor([0] * 40 + [1] * 15 + [2] * 5)
    outputs = {"logits": logits}
    weights = balanced_weights(labels, 3)
    assert weights[labels].mean() == pytest.approx(1)
    by_class = [
        torch.nn.functional.cross_entropy(logits[labels == label], labels[labels == label]) for label in range(3)
    ]
    assert make_loss(0.0, weights)(outputs, labels) == pytest.approx(sum(by_class) / 3)
    smoothed = make_loss(0.1)(outputs, labels)
    shares = torch.nn.functional.one_hot(labels, 3) * 0.9 + 0.1 / 3
    assert smoothed == pytest.approx(make_loss()(outputs, shares))
    both = make_loss(0.1, weights)(outputs, labels)  # an image counts by its class, and every one is smoothed alike
    each = torch.nn.functional.cross_entropy(logits, shares, reduction="none")
    assert both == pytest.approx((weights[labels] * each).mean())
    mixed = 0.3 * torch.nn.functional.one_hot(labels, 3) + 0.7 * torch.nn.functional.one_hot(labels.flip(0), 3)
    parts = [make_loss(0.1, weights)(outputs, each) for each in (labels, labels.flip(0))]
    assert make_loss(0.1, weights)(outputs, mixed) == pytest.approx(0.3 * parts[0] + 0.7 * parts[1])
