"""How well genres and valences are told."""

import datasets
import evaluate
import numpy as np
from scipy.special import log_softmax
from scipy.stats import rankdata
from sklearn.metrics import accuracy_score, f1_score, mean_absolute_error, r2_score, root_mean_squared_error

CLASS_METRICS = {"accuracy": "accuracy", "macro_f1": "macro F1", "log_loss": "log loss"}
VALUE_METRICS = {"r2": "R2", "mae": "mean absolute error", "rmse": "root mean squared error", "spearman": "Spearman"}


class ClassScores(evaluate.Metric):
    """Accuracy, macro F1 over the classes that occur, and log loss (natural logarithm). Predictions are logits by class, references the
    numbers of the classes."""

    def _info(self):
        features = {"predictions": datasets.List(datasets.Value("float64")), "references": datasets.Value("int64")}
        return evaluate.MetricInfo(description=self.__doc__, citation="", features=datasets.Features(features))

    def _compute(self, predictions, references) -> dict[str, float]:
        logits, labels = np.asarray(predictions, float), np.asarray(references)
        answers, found = logits.argmax(1), np.unique(labels)
        return {
            "accuracy": float(accuracy_score(labels, answers)),
            "macro_f1": float(f1_score(labels, answers, labels=found, average="macro", zero_division=0)),
            "log_loss": float(-log_softmax(logits, 1)[np.arange(len(labels)), labels].mean()),
        }


class ValueScores(evaluate.Metric):
    """R2, mean absolute error, root mean squared error and Spearman's rank correlation (0 where all predictions are the same)."""

    def _info(self):
        features = {"predictions": datasets.Value("float64"), "references": datasets.Value("float64")}
        return evaluate.MetricInfo(description=self.__doc__, citation="", features=datasets.Features(features))

    def _compute(self, predictions, references) -> dict[str, float]:
        found, wanted = np.asarray(predictions, float), np.asarray(references, float)
        return {
            "r2": float(r2_score(wanted, found)),
            "mae": float(mean_absolute_error(wanted, found)),
            "rmse": float(root_mean_squared_error(wanted, found)),
            "spearman": rank_correlation(wanted, found),
        }


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    ranks = rankdata(first), rankdata(second)
    if any(np.ptp(each) == 0 for each in ranks):
        return 0.0
    return float(np.corrcoef(*ranks)[0, 1])
