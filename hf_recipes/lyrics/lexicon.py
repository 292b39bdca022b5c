"""What word vectors know of sentiment: from a word's vector to its score in a lexicon, and to those that the lexicon lacks."""

import csv
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ..word_vectors import WordVectors
from .metrics import ValueScores

VADER = "vader"
MEAN = "mean of the scores"  # the predictor that knows no words
FOLDS = 5
FEWEST = 50  # scored words that have a vector, below which nothing is fitted
PENALTIES = np.logspace(-1, 5, 13)


def read_lexicon(source: str | Path) -> dict[str, float]:
    """Scores of words between 0 and 1, from a file whose first two columns are words and scores, with commas or tabs between them.

    The least score of the file becomes 0 and the greatest 1. A first line whose second column is no number is a header.

    Args:
        source: a file, or `vader`, the lexicon in the package vaderSentiment (Hutto and Gilbert 2014).

    Raises:
        OSError, ValueError: naming the file and the line.
    """
    file = Path(source)
    if str(source) == VADER:
        try:
            file = resources.files("vaderSentiment") / "vader_lexicon.txt"
        except ModuleNotFoundError as error:
            raise ValueError(
                "the lexicon vader is in the package vaderSentiment; install it, or give a file"
            ) from error
    text = file.read_text()
    tabs = "\t" in text.partition("\n")[0]
    # between tabs a quotation mark is a letter like others
    rows = csv.reader(
        text.splitlines(),
        delimiter="\t" if tabs else ",",
        quoting=csv.QUOTE_NONE if tabs else csv.QUOTE_MINIMAL,
    )
    scores: dict[str, float] = {}
    for number, row in enumerate(rows, 1):
        if not row:
            continue
        try:
            score = float(row[1])
            if not np.isfinite(score):
                raise ValueError
            scores[row[0].strip().lower()] = score
        except (IndexError, ValueError) as error:
            if number > 1:
                raise ValueError(f"{file}, line {number}: {row} is not a word and a score") from error
    if len(set(scores.values())) < 2:
        raise ValueError(
            f"{file} holds {len(set(scores.values()))} different scores; a word and its score a line are needed"
        )
    low, high = min(scores.values()), max(scores.values())
    return {word: (score - low) / (high - low) for word, score in scores.items()}


def known_words(vectors: WordVectors, lexicon: dict[str, float]) -> list[int]:
    """The places of the words that have a vector and a score.

    Raises:
        ValueError: when they are too few to fit anything.
    """
    known = [place for place, word in enumerate(vectors.words) if word in lexicon]
    if len(known) < FEWEST:
        raise ValueError(
            f"{len(known)} words of the lexicon have a vector; at least {FEWEST} are needed, so give more texts or another lexicon"
        )
    return known


def score_words(vectors: WordVectors, lexicon: dict[str, float], seed: int = 0) -> dict[str, Any]:
    """How well the scores of words are told from their vectors, by cross-validation, and the scores of words that have none.

    Args:
        vectors: of words.
        lexicon: of `read_lexicon`.
        seed: of the folds and of the network.

    Returns:
        `words`, how many have a score and a vector; `heads`, rows of the mean predictor, ridge and a small network with mean squared error,
        R2 and Spearman; `found`, the score by ridge of each word that the lexicon lacks, the commonest words first.

    Raises:
        ValueError: when too few words have both.
    """
    known = known_words(vectors, lexicon)
    inputs, wanted = vectors.vectors[known], np.array([lexicon[vectors.words[place]] for place in known])
    heads = {
        MEAN: DummyRegressor(),
        "ridge": make_pipeline(StandardScaler(), RidgeCV(PENALTIES)),
        "a network of 32 units": make_pipeline(
            StandardScaler(),
            MLPRegressor(hidden_layer_sizes=(32,), alpha=1.0, early_stopping=True, max_iter=500, random_state=seed),
        ),
    }
    folds, rows = KFold(FOLDS, shuffle=True, random_state=seed), []
    for name, head in heads.items():
        scores = ValueScores().compute(predictions=cross_val_predict(head, inputs, wanted, cv=folds), references=wanted)
        rows.append(
            {
                "head": name,
                "mean squared error": scores["rmse"] ** 2,
                "R2": scores["r2"],
                "Spearman": scores["spearman"],
            }
        )
    others = [place for place, word in enumerate(vectors.words) if word not in lexicon]
    found = heads["ridge"].fit(inputs, wanted).predict(vectors.vectors[others]) if others else []
    return {
        "words": len(known),
        "heads": rows,
        "found": {vectors.words[place]: float(score) for place, score in zip(others, found)},
    }
