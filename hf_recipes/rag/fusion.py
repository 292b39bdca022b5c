"""One order of passages out of what several searches found."""

import numpy as np

RANK_CONSTANT = 60  # the usual one of reciprocal rank fusion (Cormack, Clarke and Büttcher 2009)


def rank(stages: dict[int, dict[str, float]], method: str, constant: int = RANK_CONSTANT) -> list[int]:
    """Rows from the best to the worst, by the scores of the one method or by the ranks in both."""
    if method != "hybrid":
        return sorted(stages, key=lambda row: (-stages[row][method], row))
    sums = dict.fromkeys(stages, 0.0)
    for name in ("dense", "bm25"):
        found = sorted((row for row in stages if name in stages[row]), key=lambda row: (-stages[row][name], row))
        for place, row in enumerate(found, 1):
            sums[row] += 1 / (constant + place)
    for row, total in sums.items():
        stages[row]["hybrid"] = total
    return sorted(sums, key=lambda row: (-sums[row], row))


def diversify(query: np.ndarray, vectors: np.ndarray, k: int, relevance: float) -> dict[int, float]:
    """Passages that are near to a question and unlike each other: maximal marginal relevance (Carbonell and Goldstein 1998).

    Args:
        query: `(size,)`, of length one.
        vectors: `(passages, size)`, of length one.
        k: how many are wanted.
        relevance: between 0 and 1, the weight of being near against being unlike those before.

    Returns:
        The gain of each that is chosen, by its place in `vectors`, in the order of choice.
    """
    near, gains = vectors @ query, {}
    while len(gains) < min(k, len(vectors)):
        left = [place for place in range(len(vectors)) if place not in gains]
        alike = (vectors[left] @ vectors[list(gains)].T).max(1) if gains else np.zeros(len(left))
        weighed = relevance * near[left] - (1 - relevance) * alike
        best = int(weighed.argmax())
        gains[left[best]] = float(weighed[best])
    return gains
