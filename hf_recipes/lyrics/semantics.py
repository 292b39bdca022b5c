"""What word vectors know, and what words mean in some songs rather than in others."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from gensim.test.utils import datapath
from scipy.linalg import orthogonal_procrustes
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.preprocessing import normalize

from ..figures import INK, PALETTE, new_figure
from ..word_vectors import WordVectors
from .metrics import rank_correlation

# pairs of words whose likeness people have judged, in files that gensim ships (Finkelstein et al. 2002; Hill et al. 2015)
JUDGED_PAIRS = {"WordSim-353": "wordsim353.tsv", "SimLex-999": "simlex999.txt"}
ANALOGIES = "questions-words.txt"  # Mikolov et al. 2013
FEWEST = 10  # pairs or questions of known words, below which nothing is scored


def intrinsic_scores(vectors: WordVectors) -> list[dict[str, object]]:
    """How well cosines agree with people, by Spearman's correlation, and the share of analogies solved ("man is to woman as king is to"),
    each on the pairs or questions whose words all have a vector; None where these are fewer than ten."""
    keyed, rows = vectors.to_gensim(), []
    for name, file in JUDGED_PAIRS.items():
        lines = (line.lower().split("\t") for line in Path(datapath(file)).read_text().splitlines())
        pairs = [line for line in lines if len(line) == 3 and line[0] in keyed and line[1] in keyed]
        cosines = np.array([keyed.similarity(first, second) for first, second, _ in pairs])
        judged = np.array([float(score) for *_, score in pairs])
        score = rank_correlation(judged, cosines) if len(pairs) >= FEWEST else None
        rows.append({"benchmark": f"{name}, Spearman", "of known words": len(pairs), "score": score})
    solved, questions = solved_analogies(vectors)
    score = solved / questions if questions >= FEWEST else None
    return [*rows, {"benchmark": "analogies, share solved", "of known words": questions, "score": score}]


def solved_analogies(vectors: WordVectors) -> tuple[int, int]:
    """How many are solved, of how many whose words all have a vector."""
    *_, total = vectors.to_gensim().evaluate_word_analogies(datapath(ANALOGIES))[1]
    return len(total["correct"]), len(total["correct"]) + len(total["incorrect"])


def neighbours(vectors: WordVectors, most: int = 12, nearest: int = 8) -> list[dict[str, str]]:
    """The commonest words and those nearest to them by cosine."""
    keyed = vectors.to_gensim()
    return [
        {"word": word, "nearest": ", ".join(other for other, _ in keyed.most_similar(word, topn=nearest))}
        for word in vectors.words[:most]
        if len(vectors.words) > 1
    ]


def cluster_words(vectors: WordVectors, number: int = 8, most: int = 600, shown: int = 10) -> list[dict[str, object]]:
    """The commonest words in clusters of like directions (k-means), the largest first, each with the words nearest to its centre."""
    unit = normalize(vectors.vectors[:most])
    found = KMeans(min(number, len(unit)), n_init=4, random_state=0).fit(unit)
    rows = []
    for cluster, centre in enumerate(normalize(found.cluster_centers_)):
        members = np.flatnonzero(found.labels_ == cluster)
        nearest = members[np.argsort(-(unit[members] @ centre), kind="stable")][:shown]
        rows.append(
            {"words": len(members), "nearest to its centre": ", ".join(vectors.words[place] for place in nearest)}
        )
    return sorted(rows, key=lambda row: -row["words"])


def marking_words(
    documents: Sequence[Sequence[str]], labels: Sequence[str], most: int = 10, prior: float = 1.0
) -> dict[str, list[tuple[str, float]]]:
    """The words of each class that stand out most, with their z-scores: log-odds against all other classes with a Dirichlet prior, which
    is the frequency in all songs (Monroe, Colaresi and Quinn 2008).

    Args:
        documents: words of each song.
        labels: its class.
        most: words of each class.
        prior: weight of the prior, in songs' worth of the mean number of different words.
    """
    counts = {label: Counter() for label in dict.fromkeys(labels)}
    for words, label in zip(documents, labels, strict=True):
        counts[label].update(list(dict.fromkeys(words)))  # by song: a chorus sung eighty times is one use of its words
    everything = sum(counts.values(), Counter())
    words = list(everything)
    total = np.array([everything[word] for word in words], float)
    scale = prior * np.mean([len(set(document)) for document in documents]) / total.sum()
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
    source: WordVectors, target: WordVectors, among: int = 200, most: int = 10, nearest: int = 8
) -> tuple[float, list[dict[str, object]]]:
    """How words differ between two corpora: the mean cosine of a word in the one space and in the other, over the commonest shared words
    of the source, and those of them that differ most, with their neighbours in each."""
    words, first, second = align(source, target)
    agreement = (first * second).sum(1)[:among]
    rows = []
    for place in np.argsort(agreement, kind="stable")[:most]:
        row: dict[str, object] = {"word": words[place], "cosine": float(agreement[place])}
        for name, vectors in (("before", first), ("after", second)):
            near = np.argsort(-(vectors @ vectors[place]), kind="stable")
            row[name] = ", ".join([words[other] for other in near if other != place][:nearest])
        rows.append(row)
    return float(agreement.mean()), rows


def plot_map(vectors: WordVectors, groups: dict[str, Sequence[str]]):
    """The words of some groups on the first two principal components of all vectors of length one."""
    unit = normalize(vectors.vectors)
    places, flat = {word: place for place, word in enumerate(vectors.words)}, PCA(2, random_state=0).fit_transform(unit)
    figure, axes = new_figure(1, 1, 6.5, 5.0)
    axis = axes[0, 0]
    for number, (name, words) in enumerate(groups.items()):
        color, marker = PALETTE[number % len(PALETTE)], "os^"[number // len(PALETTE) % 3]
        known = [word for word in words if word in places]
        points = flat[[places[word] for word in known]] if known else np.zeros((0, 2))
        axis.scatter(*points.T, s=14, color=color, marker=marker, label=name)
        for word, point in zip(known, points):
            axis.annotate(word, point, xytext=(3, 3), textcoords="offset points", size=7, color=INK)
    axis.set(xlabel="first principal component", ylabel="second principal component")
    axis.legend(frameon=False, fontsize=7)
    return figure
