"""From the scores of a tagger's labels to tags."""

from collections.abc import Sequence

import numpy as np
from transformers import PreTrainedModel

from .head import tags_of
from .schemes import LETTERS, SCHEMES, can_follow, find_scheme, parse_tags, split_tag, write_tags


def scheme_of(model: PreTrainedModel) -> str | None:
    """The scheme that a tagger's answers keep to: what its config says (`tag_scheme`) or, without, what the letters of its tags leave no doubt
    of; None where there is some, as between IOB1 and IOB2."""
    names, said = tags_of(model), getattr(model.config, "tag_scheme", None)
    if said in SCHEMES:
        return said
    found = find_scheme(names)
    whole = {split_tag(name)[0] for name in names} - {"O"} == set(LETTERS[found])
    return found if whole and found != "IOB2" else None


def name_scores(scores: Sequence[np.ndarray], names: Sequence[str], scheme: str | None) -> list[list[str]]:
    """The likeliest sequence of tags that can be in the scheme (Viterbi 1967), of each sentence and in IOB2 whatever the scheme. Labels of
    the same name are one tag, as likely as they are together.

    Where the scheme is not known, the likeliest tag of each word, and one that continues nothing begins an entity, as CoNLL's own script
    reads it.

    Args:
        scores: of each sentence, logits `(words, labels)`; `-inf` for what cannot be.
        names: of the labels.
        scheme: of the names.
    """
    scores, names = merge_labels(scores, names)
    if scheme is None:
        paths = (each.argmax(1) for each in scores)
        return [write_tags(parse_tags([names[number] for number in path], repair=True), len(path)) for path in paths]
    # costs of a tag after another, at the beginning and at the end
    after = np.array([[cost(tag, before, scheme) for tag in names] for before in names])
    first = np.array([cost(tag, "O", scheme) for tag in names])
    last = np.array([cost("O", tag, scheme) for tag in names])
    tags = [[names[number] for number in find_path(each, first, after, last)] for each in scores]
    return [write_tags(parse_tags(each, scheme), len(each)) for each in tags]


def merge_labels(scores: Sequence[np.ndarray], names: Sequence[str]) -> tuple[Sequence[np.ndarray], list[str]]:
    """One score for each name; the probabilities of labels that share it are added."""
    once = list(dict.fromkeys(names))
    if len(once) == len(names):
        return scores, once
    places = [[place for place, other in enumerate(names) if other == name] for name in once]
    return [np.stack([np.logaddexp.reduce(each[:, of], 1) for of in places], 1) for each in scores], once


def cost(tag: str, before: str, scheme: str) -> float:
    return 0.0 if can_follow(tag, before, scheme) else -np.inf


def find_path(scores: np.ndarray, first: np.ndarray, after: np.ndarray, last: np.ndarray) -> Sequence[int]:
    """The label of each word on the best way through `(words, labels)`: what adds up to most."""
    if not len(scores):
        return []
    path = scores.argmax(1)
    if np.isfinite(first[path[0]] + after[path[:-1], path[1:]].sum() + last[path[-1]]):
        return path  # nothing can be better than the best at each word
    best, ways = first + scores[0], []
    for row in scores[1:]:
        sums = best[:, None] + after
        ways.append(sums.argmax(0))
        best = sums.max(0) + row
    path = [int((best + last).argmax())]
    for way in reversed(ways):
        path.append(int(way[path[-1]]))
    return path[::-1]
