"""Features of images by a frozen network, computed once and cached, and what simple classifiers make of them."""

import hashlib
from functools import partial

import numpy as np
import torch
from datasets import Dataset, DatasetDict, Features, List, Value
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from transformers import BaseImageProcessor, PreTrainedModel

from .data import to_pil


def add_features(splits: DatasetDict, model: PreTrainedModel, processor: BaseImageProcessor) -> DatasetDict:
    """A column `features` `(channels,)` for every image: the pooled features of the network, of the image as the pipeline sees it.

    They are cached by the network's weights and preprocessing, so that all runs on the same draw share them.
    """
    digest = network_digest(model, processor)
    with_features = {}
    for name, split in splits.items():
        with_features[name] = split.map(
            partial(compute_features, model=model.eval(), processor=processor),
            batched=True,
            batch_size=64,
            features=Features({**split.features, "features": List(Value("float32"))}),
            new_fingerprint=hashlib.sha256(f"{split._fingerprint} {digest}".encode()).hexdigest()[:16],
            desc=f"Features of {name}",
        )
    return DatasetDict(with_features)


@torch.no_grad()
def compute_features(rows: dict[str, list], model: PreTrainedModel, processor: BaseImageProcessor) -> dict[str, list]:
    images = [to_pil(dict(zip(rows, values))) for values in zip(*rows.values())]
    pixel_values = processor(images)["pixel_values"].to(model.device).contiguous(memory_format=torch.channels_last)
    network = model.timm_model
    features = network.forward_head(network.forward_features(pixel_values), pre_logits=True)
    return {"features": list(features.float().cpu().numpy())}


def network_digest(model: PreTrainedModel, processor: BaseImageProcessor) -> str:
    """Of the weights but those of the head, which is drawn by the seed, and of the preprocessing."""
    head = {id(parameter) for parameter in model.timm_model.get_classifier().parameters()}
    digest = hashlib.sha256(repr(processor.val_transforms).encode())
    for name, value in model.state_dict(keep_vars=True).items():
        if id(value) not in head:
            digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def feature_matrix(split: Dataset) -> np.ndarray:
    """float32 `(images, channels)`."""
    return np.stack(split.with_format("numpy")["features"]).astype(np.float32)


# -- baselines -------------------------------------------------------------------------------------
def baseline_probabilities(train: Dataset, test: Dataset, classes: int) -> dict[str, np.ndarray]:
    """What must be beaten, each `(test images, classes)`: the commonest class, and on the frozen features the nearest neighbour (by
    cosine) and logistic regression, whose penalty is chosen by cross-validation on the training images."""
    features, labels = feature_matrix(train), np.asarray(train["label"])
    test_features, found = feature_matrix(test), {}
    for name, classifier in {
        "commonest class": DummyClassifier(strategy="prior"),
        "nearest neighbour": KNeighborsClassifier(1, metric="cosine"),
        "logistic regression": choose_penalty(features, labels),
    }.items():
        classifier.fit(features, labels)
        found[name] = np.zeros((len(test), classes))
        found[name][:, classifier.classes_] = classifier.predict_proba(test_features)
    return found


def logistic_regression(penalty: float = 1.0) -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(C=penalty, class_weight="balanced", max_iter=300))


def choose_penalty(features: np.ndarray, labels: np.ndarray) -> Pipeline:
    """Logistic regression with the penalty of the best balanced accuracy in cross-validation."""
    folds = int(min(5, np.bincount(labels)[np.unique(labels)].min()))
    if folds < 2:
        return logistic_regression()
    grid = {"logisticregression__C": [0.0003, 0.001, 0.003, 0.01, 0.1]}
    folds = StratifiedKFold(folds, shuffle=True, random_state=0)
    search = GridSearchCV(logistic_regression(), grid, scoring="balanced_accuracy", cv=folds, refit=False)
    return logistic_regression(search.fit(features, labels).best_params_["logisticregression__C"])


def doubtful_labels(train: Dataset, most: int = 12) -> list[tuple[int, int, float]]:
    """`(row, other class, probability of the given class)` of the training images whose label is least likely.

    The likelihood is that of logistic regression on the frozen features in cross-validation: self-confidence of Northcutt, Jiang and
    Chuang 2021 ("Confident learning").
    """
    features, labels = feature_matrix(train), np.asarray(train["label"])
    counts = np.bincount(labels)
    usual = np.flatnonzero(counts[labels] >= 5)  # of rarer classes a fold may hold none
    if len(np.unique(labels[usual])) < 2:
        return []
    classifier = choose_penalty(features[usual], labels[usual])
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    probabilities = cross_val_predict(classifier, features[usual], labels[usual], cv=folds, method="predict_proba")
    classes = np.unique(labels[usual])
    given = probabilities[np.arange(len(usual)), np.searchsorted(classes, labels[usual])]
    worst = np.argsort(given)[:most]
    return [(int(usual[row]), int(classes[probabilities[row].argmax()]), float(given[row])) for row in worst]
