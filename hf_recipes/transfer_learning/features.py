"""Features of images by a frozen network, computed once and cached, and what simple classifiers make of them."""

import hashlib
from functools import partial
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset, DatasetDict, Features, List, Value
from datasets import config as datasets_config
from joblib import Memory
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from transformers import BaseImageProcessor, PreTrainedModel

from ..loading import code_digest
from .data import LoadedImages
from .inputs import to_pil

MEMORY = Memory(Path(datasets_config.HF_DATASETS_CACHE) / "hf_recipes", verbose=0)  # of fits that runs of a study share
CODE = code_digest(Path(__file__).parent)


def compute_split_features(images: LoadedImages, model: PreTrainedModel, processor: BaseImageProcessor) -> DatasetDict:
    """The splits with the columns `features` `(channels,)`, `label`, `index` and `split`: the pooled features of the network, of each image
    as the pipeline sees it.

    All images of the data set are computed in one pass and cached by the network's weights and preprocessing, so that all draws share them.
    """
    digest = network_digest(model, processor)
    fingerprint = hashlib.sha256(f"{images.pool._fingerprint} {digest}".encode()).hexdigest()[:16]
    kept = {name: images.pool.features[name] for name in ("label", "index", "split")}
    pool = images.pool.map(
        partial(compute_features, model=model.eval(), processor=processor),
        batched=True,
        batch_size=64,
        remove_columns=[name for name in images.pool.column_names if name not in kept],
        features=Features({**kept, "features": List(Value("float32"))}),
        new_fingerprint=fingerprint,
        desc="Features",
    )
    return DatasetDict({name: pool.select(rows) for name, rows in images.rows.items()})


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
        "logistic regression": logistic_regression(best_inverse_penalty(features, labels, CODE)),
    }.items():
        classifier.fit(features, labels)
        found[name] = np.zeros((len(test), classes))
        found[name][:, classifier.classes_] = classifier.predict_proba(test_features)
    return found


def logistic_regression(inverse_penalty: float) -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(C=inverse_penalty, class_weight="balanced", max_iter=300))


@MEMORY.cache
def best_inverse_penalty(features: np.ndarray, labels: np.ndarray, code: str) -> float:
    """That of logistic regression with the best balanced accuracy in cross-validation. It is kept on disk for the next run with the
    same features; `code` is there for the cache."""
    folds = int(min(5, np.bincount(labels)[np.unique(labels)].min()))
    if folds < 2:
        return 1.0
    grid = {"logisticregression__C": [0.0003, 0.001, 0.003, 0.01, 0.1]}
    folds = StratifiedKFold(folds, shuffle=True, random_state=0)
    search = GridSearchCV(logistic_regression(1.0), grid, scoring="balanced_accuracy", cv=folds, refit=False)
    return search.fit(features, labels).best_params_["logisticregression__C"]


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
    probabilities = probabilities_across(features[usual], labels[usual], CODE)
    classes = np.unique(labels[usual])
    given = probabilities[np.arange(len(usual)), np.searchsorted(classes, labels[usual])]
    worst = np.argsort(given)[:most]
    return [(int(usual[row]), int(classes[probabilities[row].argmax()]), float(given[row])) for row in worst]


@MEMORY.cache
def probabilities_across(features: np.ndarray, labels: np.ndarray, code: str) -> np.ndarray:
    """`(images, classes)` by logistic regression that has not seen the image, in cross-validation; kept on disk as the penalty is."""
    classifier = logistic_regression(best_inverse_penalty(features, labels, code))
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    return cross_val_predict(classifier, features, labels, cv=folds, method="predict_proba")
