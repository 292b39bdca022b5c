"""Why a head that speaks of other types fails: what its answers are taken for, each cause apart."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from .decoding import name_scores
from .labels import LabelMap
from .schemes import convert_tags

BY_NUMBER, BY_NAME, IN_IOB1 = "its labels by number", "its labels by name", "through the map, in IOB1"


def names_by_number(source: Sequence[str], target: Sequence[str]) -> list[str]:
    """What the labels of a head are called by somebody who takes them for the data's: `O` where the data have no such number."""
    return [*target[: len(source)], *["O"] * (len(source) - len(target))]


def readings_of(
    scores: list[np.ndarray], source: Sequence[str], target: Sequence[str], label_map: LabelMap, scheme: str | None
) -> dict[str, list[list[str]]]:
    """One tagger's answers as tags, under each way to read them.

    Args:
        scores: logits of the tagger's labels `(words, labels)`, of each sentence.
        source, target: tags of the tagger and of the data, by number.
        label_map: from the types of the one to those of the other.
        scheme: of the tagger, where it is known.
    """
    mapped = name_scores(scores, [label_map.map_tag(tag) for tag in source], scheme)
    return {
        BY_NUMBER: name_scores(scores, names_by_number(source, target), "IOB2"),  # as the data's tags are
        BY_NAME: name_scores(scores, source, scheme),
        "through the map": mapped,
        IN_IOB1: [convert_tags(tags, "IOB2", "IOB1") for tags in mapped],
    }


def describe_labels(
    scores: list[np.ndarray], source: Sequence[str], target: Sequence[str], gold: Sequence[Sequence[str]]
) -> list[dict[str, Any]]:
    """A row for each label of a tagger: its name, what it is taken for by number, and what the words are whose likeliest label it is.

    Args:
        scores, source, target: as for `readings_of`.
        gold: tags in IOB2.
    """
    meant: dict[int, Counter[str]] = {number: Counter() for number in range(len(source))}
    for each, tags in zip(scores, gold, strict=True):
        for number, tag in zip(each.argmax(1), tags, strict=True):
            meant[int(number)][tag] += 1
    rows = []
    for number, (name, taken_for) in enumerate(zip(source, names_by_number(source, target))):
        words = sum(meant[number].values())
        often = ", ".join(f"{tag} {count / words:.0%}" for tag, count in meant[number].most_common(3))
        rows.append(
            {"label": name, "number": number, "taken for by number": taken_for, "words": words, "which are": often}
        )
    return rows
