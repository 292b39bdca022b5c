"""How well images are classified, and the baselines that every report shows beside a model."""

import datasets
import evaluate
import numpy as np
from scipy.special import log_softmax
from sklearn.linear_model import RidgeClassifier

MOST_PIXELS = 150_000_000  # of the baseline's training images: 600 MB


class ClassificationQuality(evaluate.Metric):
    """Accuracy and log loss from logits.

    The log loss is the mean of -log p(true class), in nats.
    """

    def _info(self):
        return evaluate.MetricInfo(
            description=self.__doc__,
            citation="",
            features=datasets.Features(
                {"predictions": datasets.List(datasets.Value("float64")), "references": datasets.Value("int64")}
            ),
        )

    def _compute(self, predictions, references) -> dict[str, float]:
        logits, labels = np.asarray(predictions, np.float64), np.asarray(references)
        return {
            "accuracy": float((logits.argmax(1) == labels).mean()),
            "log_loss": float(-log_softmax(logits, 1)[np.arange(len(labels)), labels].mean()),
        }


def reduce_batch(batch: dict, outputs) -> tuple[dict, dict]:
    """One row of logits per image, with test-time augmentation also those without it."""
    predictions = {"logits": outputs.logits.float()}
    if outputs.plain_logits is not None:
        predictions["plain_logits"] = outputs.plain_logits.float()
    return predictions, {"label": batch["labels"]}


def compute_metrics(evaluation) -> dict[str, float]:
    """Accuracy and log loss, which is the loss too, from the rows of `reduce_batch`."""
    predictions, labels = evaluation.predictions, evaluation.label_ids["label"]
    metrics = ClassificationQuality().compute(predictions=predictions["logits"], references=labels)
    if "plain_logits" in predictions:
        plain = ClassificationQuality().compute(predictions=predictions["plain_logits"], references=labels)
        metrics["accuracy_without_tta"] = plain["accuracy"]
    return metrics | {"loss": metrics["log_loss"]}


def baseline_accuracies(train: datasets.Dataset, test: datasets.Dataset) -> dict[str, dict[str, float]]:
    """The commonest class, and ridge regression on the pixels (a linear classifier): what a network must beat.

    The regression sees so many training images, drawn at random, that their pixels fit into memory; its penalty of 1000 (on
    pixels from 0 to 1) is not tuned.
    """
    labels, test_labels = np.asarray(train["label"]), np.asarray(test["label"])
    most = min(len(train), max(1000, MOST_PIXELS // len(train[0]["pixels"])))
    rows = np.sort(np.random.default_rng(0).permutation(len(train))[:most])
    ridge = RidgeClassifier(alpha=1000.0, copy_X=False).fit(flat_pixels(train.select(rows)), labels[rows])
    right = 0
    for start in range(0, len(test), 1000):
        part = range(start, min(start + 1000, len(test)))
        right += int((ridge.predict(flat_pixels(test.select(part))) == test_labels[part]).sum())
    which = "" if most == len(train) else f" of {most:,} images"
    return {
        "commonest class": {"accuracy": float((test_labels == np.bincount(labels).argmax()).mean())},
        f"ridge on pixels{which}": {"accuracy": right / len(test)},
    }


def flat_pixels(split: datasets.Dataset) -> np.ndarray:
    """float32 `(images, pixels)` in units of 0..1."""
    pixels = np.frombuffer(b"".join(split["pixels"]), np.uint8).reshape(len(split), -1).astype(np.float32)
    pixels /= 255
    return pixels
