"""How sure a measured number is: bootstrap intervals, for several tasks (Efron 1979)."""

from collections.abc import Callable

import numpy as np


def resample(
    statistic: Callable[[np.ndarray], np.ndarray | list[float]],
    examples: int,
    groups: np.ndarray | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> np.ndarray:
    """`statistic(rows)` on `resamples` draws with replacement of as many rows as there are examples, `(resamples, ...)`.

    Args:
        statistic: of an array of row numbers; the same rows for two systems make a paired comparison.
        examples: how many there are.
        groups: `(examples,)`; where given, whole groups are drawn, since examples of one group are not independent.
        resamples, seed: of the draws.
    """
    generator = np.random.default_rng(seed)
    if groups is None:
        return np.array([statistic(generator.integers(0, examples, examples)) for _ in range(resamples)])
    members = members_of(groups)
    draws = (generator.integers(0, len(members), len(members)) for _ in range(resamples))
    return np.array([statistic(np.concatenate([members[group] for group in draw])) for draw in draws])


def members_of(groups: np.ndarray) -> list[np.ndarray]:
    """The rows of each group, from the group of each row."""
    order = np.argsort(groups, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)


def interval(values: np.ndarray, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """The percentile interval over the first axis."""
    return tuple(np.nanquantile(values, [(1 - level) / 2, (1 + level) / 2], axis=0))
