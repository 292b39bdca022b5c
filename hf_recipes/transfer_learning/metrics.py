"""How well images of unequally frequent classes are classified, and how sure of it one can be."""

import datasets
import evaluate
import numpy as np
import torch
from scipy.special import log_softmax, softmax
from torchmetrics.functional.classification import multiclass_calibration_error

METRICS = {
    "balanced_accuracy": "balanced accuracy",
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "ece": "calibration error",
    "log_loss": "log loss",
}


class UnbalancedClassification(evaluate.Metric):
    """From logits: accuracy, the mean recall of the classes (balanced accuracy), the mean F1 of the classes, the expected
    calibration error (15 bins of confidence, Guo et al. 2017) and the log loss in nats.

    Classes that no image has count neither for the balanced accuracy nor for the F1.
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
        return measure(np.asarray(predictions, np.float64), np.asarray(references))


def measure(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """`METRICS` of logits `(images, classes)`."""
    confusion = np.zeros((logits.shape[1],) * 2)
    np.add.at(confusion, (labels, logits.argmax(1)), 1)
    right, images, answers = np.diag(confusion), confusion.sum(1), confusion.sum(0)
    present = images > 0
    f1 = 2 * right[present] / (images + answers)[present]
    calibration = multiclass_calibration_error(
        torch.from_numpy(softmax(logits, 1)), torch.from_numpy(labels), logits.shape[1], n_bins=15
    )
    return {
        "balanced_accuracy": float((right[present] / images[present]).mean()),
        "accuracy": float(right.sum() / len(labels)),
        "macro_f1": float(f1.mean()),
        "ece": float(calibration),
        "log_loss": float(-log_softmax(logits, 1)[np.arange(len(labels)), labels].mean()),
    }


def reduce_batch(batch: dict, outputs) -> tuple[dict, dict]:
    """One row of logits per image."""
    return {"logits": outputs["logits"].float()}, {"label": batch["labels"], "index": batch["index"]}


def compute_metrics(evaluation) -> dict[str, float]:
    """`METRICS`, and as the loss the log loss, from the rows of `reduce_batch`."""
    metrics = UnbalancedClassification().compute(
        predictions=evaluation.predictions["logits"], references=evaluation.label_ids["label"]
    )
    return metrics | {"loss": metrics["log_loss"]}
