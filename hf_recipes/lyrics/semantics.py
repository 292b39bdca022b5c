"""What words mean in some songs rather than in others: the words that mark a class, and how neighbours shift between corpora."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from scipy.linalg import orthogonal_procrustes
from sklearn.decomposition import PCA
from sklearn.preprocessing import normalize

from ..figures import INK, PALETTE, new_figure
from .vectors import WordVectors


def marking_words(
    documents: Sequence[Sequence[str]], labels: Sequence[str], most: int = 10, prior: float = 1.0
) -> dict[str, list[tuple[str, float]]]:
    """The words of each class that stand out most, with their z-scores: log-odds against all other classes with a Dirichlet prior, which
    is the frequency in all songs (Monroe, Colaresi and Quinn 2008).

    Args:
        documents: words of each song.
        labels: its class.
        most: words of each class.
        prior: weight of the prior, in songs' worth of the mean length.
    """
    counts = {label: Counter() for label in dict.fromkeys(labels)}
    for words, label in zip(documents, labels, strict=True):
        counts[label].update(words)
    everything = sum(counts.values(), Counter())
    words = list(everything)
    total = np.array([everything[word] for word in words], float)
    scale = prior * np.mean([len(document) for document in documents]) / total.sum()
    pseudo = scale * total
    found = {}
    for label, counter in counts.items():
        ours = np.array([counter[word] for word in words], float)
        theirs = total - ours
        odds = log_odds(ours, pseudo) - log_odds(theirs, pseudo)
        scores = odds / np.sqrt(1 / (ours + pseudo) + 1 / (theirs + pseudo))
        best = np.argsort(-scores, kind="stable")[:most]
        found[label] = [(words[place], float(scores[place])) for place in best]
    return found


def log_odds(counts: np.ndarray, pseudo: np.ndarray) -> np.ndarray:
    smoothed = counts + pseudo
    return np.log(smoothed) - np.log(smoothed.sum() - smoothed)


def align(source: WordVectors, target: WordVectors) -> tuple[list[str], np.ndarray, np.ndarray]:
    """The words of both, and their vectors in one space: the source's turned onto the target's (orthogonal Procrustes, as Hamilton,
    Leskovec and Jurafsky 2016), each of length one.

    Raises:
        ValueError: when they share fewer words than dimensions.
    """
    places = {word: place for place, word in enumerate(target.words)}
    shared = [(place, places[word]) for place, word in enumerate(source.words) if word in places]
    if len(shared) < source.vectors.shape[1]:
        raise ValueError(
            f"{len(shared)} words are in both vocabularies; at least {source.vectors.shape[1]}, the size of a vector, are needed"
        )
    first, second = (normalize(each.vectors[list(rows)]) for each, rows in zip((source, target), zip(*shared)))
    turn, _ = orthogonal_procrustes(first, second)
    return [source.words[place] for place, _ in shared], first @ turn, second


def shifted_words(
    source: WordVectors, target: WordVectors, most: int = 10, nearest: int = 8
) -> list[dict[str, object]]:
    """The shared words whose vectors differ most between two corpora, with their neighbours in each."""
    words, first, second = align(source, target)
    agreement = (first * second).sum(1)
    rows = []
    for place in np.argsort(agreement, kind="stable")[:most]:
        row: dict[str, object] = {"word": words[place], "cosine": float(agreement[place])}
        for name, vectors in (("before", first), ("after", second)):
            near = np.argsort(-(vectors @ vectors[place]), kind="stable")
            row[name] = ", ".join([words[other] for other in near if other != place][:nearest])
        rows.append(row)
    return rows


def plot_map(vectors: WordVectors, groups: dict[str, Sequence[str]]):
    """The words of some groups on the first two principal components of all vectors of length one."""
    unit = normalize(vectors.vectors)
    places, flat = {word: place for place, word in enumerate(vectors.words)}, PCA(2, random_state=0).fit_transform(unit)
    figure, axes = new_figure(1, 1, 6.5, 5.0)
    axis = axes[0, 0]
    for number, (name, words) in enumerate(groups.items()):
        color = PALETTE[number % len(PALETTE)]
        known = [word for word in words if word in places]
        points = flat[[places[word] for word in known]] if known else np.zeros((0, 2))
        axis.scatter(*points.T, s=14, color=color, label=name)
        for word, point in zip(known, points):
            axis.annotate(word, point, xytext=(3, 3), textcoords="offset points", size=7, color=INK)
    axis.set(xlabel="first principal component", ylabel="second principal component")
    axis.legend(frameon=False, fontsize=7)
    return figure
