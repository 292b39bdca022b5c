"""What simple models make of the same songs: frequencies of words and means of vectors, with the heads of scikit-learn."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from datasets import DatasetDict
from scipy.special import log_softmax
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC, LinearSVR

from ..word_vectors import WordVectors, document_weights, mean_vectors

SMOOTHINGS = np.logspace(-2, 0.5, 6)  # of naive Bayes
PENALTIES = np.logspace(-4, 2, 7)
STRENGTHS = np.logspace(-2, 3, 6)  # of ridge on frequencies; features of other sizes take more
COSTS = np.logspace(-3, 1, 5)  # of linear SVMs, which take long to fit at higher ones
INNER_FOLDS = 3  # that choose a penalty
LEAST = 1e-7  # a probability that is not 0
NOTHING = ("commonest class", "mean of the training songs")  # what knows no words
MARGINS = "linear SVM"  # of the heads, that whose logits are no logarithms of probabilities


def fit_baselines(
    splits: DatasetDict,
    vectors: WordVectors,
    names: list[str] | None,
    encoded: dict[str, np.ndarray] | None = None,
    lexicon: dict[str, float] | None = None,
) -> dict[str, np.ndarray]:
    """What each baseline says of the test, fitted on the training songs: logits `(songs, classes)`, or values `(songs,)`.

    Penalties are chosen by folds of the training songs that share no group.

    Args:
        splits: `train` and `test` with `words`, `label` and `group`.
        vectors: fitted on the training songs.
        names: of the classes; None for values.
        encoded: vectors of a sentence encoder by split, if it is to be compared.
        lexicon: scores of words, if what they tell by themselves is to be compared.
    """
    train = splits["train"]
    words = {name: splits[name]["words"][:] for name in ("train", "test")}
    weights = document_weights(words["train"], vectors.words)
    means = {
        "mean word vector": [mean_vectors(words[name], vectors) for name in ("train", "test")],
        "TF-IDF-weighted word vector": [mean_vectors(words[name], vectors, weights) for name in ("train", "test")],
    }
    if lexicon is not None:
        means["sentiment of words"] = [sentiments(words[name], lexicon) for name in ("train", "test")]
    if encoded is not None:
        means["sentence encoder"] = [encoded["train"], encoded["test"]]
    labels, groups = np.array(train["label"][:]), np.array(train["group"][:])
    inner = list(GroupKFold(min(INNER_FOLDS, len(set(groups)))).split(labels, labels, groups))
    head, models = make_models(names, inner)
    answers = {name: say(model.fit(words["train"], labels), words["test"], names) for name, model in models.items()}
    for name, (of_train, of_test) in means.items():
        heads = {
            head: RidgeCV(STRENGTHS * 100, cv=inner) if names is None else logistic(inner),
            MARGINS: svm(names, inner),
        }
        for kind, model in heads.items():  # naive Bayes takes no values below 0
            model = make_pipeline(StandardScaler(), model)
            answers[f"{name}, {kind}"] = say(model.fit(of_train, labels), of_test, names)
    if encoded is not None:
        parts = [answers[f"{name}, {head}"] for name in ("TF-IDF", *means)]
        answers[f"all of these together, {head}"] = np.mean(
            [each if names is None else log_softmax(each, 1) for each in parts], 0
        )
    return answers


def make_models(names: list[str] | None, inner: list) -> tuple[str, dict[str, Any]]:
    """What the linear heads are called, and the models of lists of words, the first of which does not look at them.

    Args:
        names: of the classes; None for values.
        inner: folds that choose a penalty.
    """

    def counts(**options: Any) -> CountVectorizer:
        return CountVectorizer(analyzer=lambda document: document, **options)

    def frequencies(most: int = 1) -> TfidfVectorizer:
        return TfidfVectorizer(analyzer=lambda document: runs_of(document, most), sublinear_tf=True, min_df=2)

    if names is None:
        return "ridge", {
            NOTHING[1]: DummyRegressor(),
            "bag of words, ridge": make_pipeline(counts(binary=True), RidgeCV(STRENGTHS * 10, cv=inner)),
            "TF-IDF, ridge": make_pipeline(frequencies(), RidgeCV(STRENGTHS, cv=inner)),
            "TF-IDF with pairs of words, ridge": make_pipeline(frequencies(2), RidgeCV(STRENGTHS, cv=inner)),
            f"TF-IDF, {MARGINS}": make_pipeline(frequencies(), svm(names, inner)),
        }
    return "logistic regression", {
        NOTHING[0]: DummyClassifier(strategy="prior"),
        "bag of words, naive Bayes": make_pipeline(
            counts(), GridSearchCV(MultinomialNB(), {"alpha": SMOOTHINGS}, cv=inner, scoring="accuracy")
        ),
        "bag of words, logistic regression": make_pipeline(counts(binary=True), logistic(inner)),
        "TF-IDF, logistic regression": make_pipeline(frequencies(), logistic(inner)),
        "TF-IDF with pairs of words, logistic regression": make_pipeline(frequencies(2), logistic(inner)),
        f"TF-IDF, {MARGINS}": make_pipeline(frequencies(), svm(names, inner)),
    }


def sentiments(documents: Sequence[Sequence[str]], lexicon: dict[str, float]) -> np.ndarray:
    """`(documents, 5)`: mean and deviation of the scores of the words that have one, the shares of low and high ones, and their share of all
    words; 0.5 and nothing where none has."""
    rows = []
    for words in documents:
        scores = np.array([lexicon[word] for word in words if word in lexicon])
        row = (
            [scores.mean(), scores.std(), (scores < 0.4).mean(), (scores > 0.6).mean()]
            if len(scores)
            else [0.5, 0, 0, 0]
        )
        rows.append([*row, len(scores) / max(len(words), 1)])
    return np.array(rows)


def runs_of(words: Sequence[str], most: int) -> list[str]:
    """Words, and runs of up to `most` of them."""
    return [" ".join(words[start : start + n]) for n in range(1, most + 1) for start in range(len(words) - n + 1)]


def logistic(inner: list) -> GridSearchCV:
    return GridSearchCV(LogisticRegression(max_iter=2000), {"C": PENALTIES}, cv=inner, scoring="accuracy")


def svm(names: list[str] | None, inner: list) -> GridSearchCV:
    kind, scoring = (LinearSVR, "r2") if names is None else (LinearSVC, "accuracy")
    return GridSearchCV(kind(max_iter=10_000), {"C": COSTS}, cv=inner, scoring=scoring)


def say(model: Any, songs: Any, names: list[str] | None) -> np.ndarray:
    """Values, or logits in the order of all classes: the model may not have seen all of them."""
    if names is None:
        return np.asarray(model.predict(songs), float)
    seen = model.classes_
    if hasattr(model, "predict_proba"):
        found = np.log(np.clip(model.predict_proba(songs), LEAST, 1))
        logits = np.full((len(found), len(names)), np.log(LEAST))
    else:
        found = model.decision_function(songs)
        found = found if found.ndim == 2 else np.stack([-found, found], 1)
        logits = np.full((len(found), len(names)), found.min() - 1)
    logits[:, seen] = found
    return logits
