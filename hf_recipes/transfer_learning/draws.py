"""Which images train, validate and test, drawn by the seed."""

import logging

import numpy as np
from datasets import Dataset

from ..intervals import members_of

logger = logging.getLogger(__name__)


def draw_splits(
    labels: np.ndarray,
    groups: np.ndarray,
    origin: np.ndarray,
    names: list[str],
    *,
    redraw: bool,
    validation_share: float,
    test_share: float,
    train_fraction: float,
    seed: int,
) -> tuple[dict[str, np.ndarray], int]:
    """The rows of `train`, `validation` and `test` in order, and how many training images are left out since a duplicate is in a given split.

    Args:
        labels, groups, origin: `(images,)` each: the class, the number of the group of duplicates, and the data set's own split.
        names: of the classes.
        redraw, validation_share, test_share, train_fraction, seed: of `load_images`.

    Raises:
        ValueError: naming a class that has too few images.
    """
    generator, rows = np.random.default_rng(seed), {}
    draw_test, draw_validation = (redraw or not (origin == name).any() for name in ("test", "validation"))
    if draw_test:
        pool = np.arange(len(labels)) if redraw else np.flatnonzero(origin == "train")
        rows["test"], rest = draw_by_class(pool, labels, groups, test_share, generator, names)
    else:
        rows["test"], rest = np.flatnonzero(origin == "test"), np.flatnonzero(origin == "train")
    if not draw_validation:
        rows["validation"] = np.flatnonzero(origin == "validation")
    # of what is left to train on, nothing that a given split tests on
    leaked = np.isin(groups[rest], groups[np.concatenate(list(rows.values()))])
    rest = rest[~leaked]
    if draw_validation:
        share = validation_share / (1 - test_share) if draw_test else validation_share
        rows["validation"], rest = draw_by_class(rest, labels, groups, share, generator, names)
    if train_fraction < 1:
        rest, _ = draw_by_class(rest, labels, groups, train_fraction, generator, names, part_all=False)
    rows["train"] = rest
    for name, chosen in rows.items():
        missing = [names[label] for label in range(len(names)) if not (labels[chosen] == label).any()]
        if missing and name == "train":
            raise ValueError(
                f"no image to train on is left for {', '.join(missing)}; leave the class out, or add images"
            )
        if missing:
            logger.warning("%s has no image of %s", name, ", ".join(missing))
    return {name: np.sort(chosen) for name, chosen in rows.items()}, int(leaked.sum())


def draw_by_class(
    rows: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    share: float,
    generator: np.random.Generator,
    names: list[str],
    part_all: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """About a share of the images of every class in whole groups, at least one group and never all, and the other images; rows, as `rows` are.

    A group belongs to the class of most of its images.

    Args:
        rows: to draw from.
        labels, groups: `(images,)`, of all images.
        share: above 0 and below 1.
        generator: of the draw.
        names: of the classes.
        part_all: whether a class of a single group is an error; it is drawn else.

    Raises:
        ValueError: naming a class of a single group.
    """
    drawn, by_class = [], {}
    for members in members_of(groups[rows]):
        each = rows[members]
        by_class.setdefault(int(np.bincount(labels[each]).argmax()), []).append(each)
    for label, parts in sorted(by_class.items()):
        if len(parts) < 2 and part_all:
            raise ValueError(
                f"the class {names[label]!r} has too few images to draw splits from: {sum(map(len, parts))} are left, all "
                "duplicates of each other or one alone. Training, validation and test need one each: add images, or leave the "
                "class out"
            )
        wanted, taken = share * sum(map(len, parts)), 0
        left = len(parts)
        for place in generator.permutation(len(parts)):
            if taken and (taken >= wanted or left == 1):
                break
            if taken and taken + len(parts[place]) / 2 > wanted:
                continue  # a group too large, and smaller ones may follow
            drawn.append(parts[place])
            taken, left = taken + len(parts[place]), left - 1
    drawn = np.concatenate(drawn)
    return drawn, np.setdiff1d(rows, drawn)


def repeat_rare_classes(split: Dataset) -> Dataset:
    """Rows of every class repeated until it has as many as the commonest."""
    labels = np.asarray(split["label"])
    most = np.bincount(labels).max()
    return split.select(
        np.concatenate([np.resize(np.flatnonzero(labels == label), most) for label in np.unique(labels)])
    )
