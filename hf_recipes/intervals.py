"""How sure a measured number is: bootstrap intervals, for several tasks (Efron 1979)."""

from collections.abc import Callable

import numpy as np


def resample(
    statistic: Callable[[np.ndarray], np.ndarray | list[float]],
    examples: int,
    groups: np.ndarray | None = None,
    strata: np.ndarray | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> np.ndarray:
    """`statistic(rows)` on `resamples` draws with replacement of as many rows as there are examples, `(resamples, ...)`.

    Args:
        statistic: of an array of row numbers; the same rows for two systems make a paired comparison.
        examples: how many there are.
        groups: `(examples,)`; where given, whole groups are drawn, since examples of one group are not independent.
        strata: `(examples,)`; where given, as many groups of each stratum are drawn as there are, as when a test was drawn by class. A
            group belongs to the stratum of its first example.
        resamples, seed: of the draws.
    """
    generator = np.random.default_rng(seed)
    members = None if groups is None else members_of(groups)  # without groups, each row is drawn by itself
    first = np.arange(examples) if members is None else np.array([rows[0] for rows in members])
    parts = [np.arange(len(first))] if strata is None else members_of(np.asarray(strata)[first])
    statistics = []
    for _ in range(resamples):
        drawn = np.concatenate([part[generator.integers(0, len(part), len(part))] for part in parts])
        statistics.append(statistic(drawn if members is None else np.concatenate([members[each] for each in drawn])))
    return np.array(statistics)


def members_of(groups: np.ndarray) -> list[np.ndarray]:
    """The rows of each group, from the group of each row: numbers or names."""
    groups = np.unique(groups, return_inverse=True)[1]
    order = np.argsort(groups, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)


def interval(values: np.ndarray, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """The percentile interval over the first axis."""
    return tuple(np.nanquantile(values, [(1 - level) / 2, (1 + level) / 2], axis=0))


def parts_of(scores: list) -> np.ndarray:
    """`(examples, 2)`: scores whose mean is the metric as parts of 1; or as they are, parts and wholes whose sums' quotient it is, as F1
    is twice what is found of what is predicted and what is to be found."""
    scores = np.asarray(scores, float)
    return scores if scores.ndim == 2 else np.stack([scores, np.ones_like(scores)], 1)


def quotient(parts: np.ndarray) -> float:
    part, whole = parts.sum(0)
    return part / whole if whole else 0.0
