"""How well entities are found, and in which ways they are missed."""

import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import datasets
import evaluate
import numpy as np
from seqeval.metrics import accuracy_score
from seqeval.metrics.v1 import precision_recall_fscore_support
from seqeval.scheme import IOB2

from ..intervals import interval, resample
from .schemes import Entity, parse_tags

METRICS = {
    "f1": "F1",
    "precision": "precision",
    "recall": "recall",
    "untyped_f1": "F1 of spans without their types",
    "accuracy": "accuracy of tags",
}
Error = tuple[str, Entity | None, Entity | None]  # one of ERRORS, what is there, what is found
ERRORS = ("wrong type", "wrong boundary", "wrong type and boundary", "missed", "spurious")


class EntityScores(evaluate.Metric):
    """Precision, recall and F1 of whole entities by seqeval's strict IOB2 (span and type must agree), F1 of the spans alone, and the
    accuracy of tags. Predictions and references are tags in IOB2, by sentence; `decoding` makes them of
    what a model answers."""

    def _info(self):
        tags = datasets.List(datasets.Value("string"))
        return evaluate.MetricInfo(
            description=self.__doc__,
            citation="",
            features=datasets.Features({"predictions": tags, "references": tags}),
        )

    def _compute(self, predictions, references) -> dict[str, float]:
        precision, recall, f1 = strict_scores(references, predictions)
        untyped = [
            [[f"{tag[0]}-x" if tag != "O" else tag for tag in tags] for tags in each]
            for each in (references, predictions)
        ]
        return {
            "f1": f1,
            "precision": precision,
            "recall": recall,
            "untyped_f1": strict_scores(*untyped)[2],
            "accuracy": float(accuracy_score(references, predictions)),
        }


def strict_scores(
    references: Sequence[Sequence[str]], predictions: Sequence[Sequence[str]]
) -> tuple[float, float, float]:
    """Micro averages of seqeval, 0 where nothing is predicted or to be found."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that tags of the other side's types are missing is what is measured
        scores = precision_recall_fscore_support(
            [list(tags) for tags in references],
            [list(tags) for tags in predictions],
            average="micro",
            scheme=IOB2,
            zero_division=0,
        )
    return tuple(float(score) for score in scores[:3])


def f1_of(found: float, predicted: float, gold: float) -> float:
    return float(2 * found / (predicted + gold)) if predicted + gold else 0.0


def count_matches(gold: Sequence[Sequence[Entity]], predicted: Sequence[Sequence[Entity]]) -> np.ndarray:
    """`(sentences, 3)`: entities that are found, predicted, and to be found."""
    return np.array([[len({*ours} & {*theirs}), len(ours), len(theirs)] for theirs, ours in zip(gold, predicted)])


def entity_f1(gold: Sequence[Sequence[Entity]], predicted: Sequence[Sequence[Entity]]) -> float:
    """Of all sentences together."""
    return f1_of(*count_matches(gold, predicted).sum(0))


def f1_interval(counts: np.ndarray) -> tuple[float, float]:
    """The 95 % percentile interval of F1, sentences drawn with replacement, from `count_matches`."""
    low, high = interval(resample(lambda rows: f1_of(*counts[rows].sum(0)), len(counts)))
    return float(low), float(high)


def describe_examples(counts: dict[str, np.ndarray], blocks: int = 200) -> dict[str, Any]:
    """What a study compares two runs by: twice what is found, and what is predicted and to be found together, whose quotient is F1.

    By sentence, or, where there are more sentences than `blocks`, by block: the n-th sentence belongs to block n modulo `blocks`, so
    that results stay small.

    Args:
        counts: of `count_matches`, by what answered: `model`, and baselines.
        blocks: at most.
    """
    ids = np.arange(min(len(counts["model"]), blocks))
    parts = {}
    for name, each in counts.items():
        sums = [each[start::blocks].sum(0).tolist() for start in ids]
        parts[name] = [[2 * found, predicted + gold] for found, predicted, gold in sums]
    return {"ids": ids.tolist(), "scores": {"f1": parts}}


def scores_by(
    gold: Sequence[Sequence[Entity]],
    predicted: Sequence[Sequence[Entity]],
    key: Callable[[int, Entity], Hashable],
) -> dict[Hashable, dict[str, float]]:
    """F1, precision, recall and the numbers of entities for each group of entities.

    Args:
        gold, predicted: entities by sentence.
        key: `key(sentence, entity)` is the group of a gold or a predicted entity, such as its type or its length.
    """
    counts: dict[Hashable, np.ndarray] = defaultdict(lambda: np.zeros(3, int))
    for sentence, (theirs, ours) in enumerate(zip(gold, predicted, strict=True)):
        for entity in {*theirs} & {*ours}:
            counts[key(sentence, entity)][0] += 1
        for place, entities in ((1, ours), (2, theirs)):
            for entity in entities:
                counts[key(sentence, entity)][place] += 1
    return {
        group: {
            "f1": f1_of(found, answered, wanted),
            "precision": found / answered if answered else 0.0,
            "recall": found / wanted if wanted else 0.0,
            "gold": int(wanted),
            "predicted": int(answered),
        }
        for group, (found, answered, wanted) in counts.items()
    }


def find_errors(gold: Sequence[Entity], predicted: Sequence[Entity]) -> list[Error]:
    """`(one of ERRORS, gold entity, predicted entity)` for all of a sentence that is not right.

    Each entity is in one error at most: pairs of the same span first, then pairs that overlap, of the same type before others and of many
    shared words before few.
    """
    theirs = [entity for entity in gold if entity not in predicted]
    ours = [entity for entity in predicted if entity not in gold]
    pairs = []
    for wanted in theirs:
        for answer in ours:
            shared = min(wanted.end, answer.end) - max(wanted.start, answer.start)
            if shared > 0:
                same_span, same_type = wanted[1:] == answer[1:], wanted.type == answer.type
                pairs.append(((same_span, same_type, shared), wanted, answer))
    errors: list[Error] = []
    for (same_span, same_type, _), wanted, answer in sorted(pairs, key=lambda pair: pair[0], reverse=True):
        if wanted in theirs and answer in ours:
            name = "wrong type" if same_span else "wrong boundary" if same_type else "wrong type and boundary"
            errors.append((name, wanted, answer))
            theirs.remove(wanted)
            ours.remove(answer)
    return errors + [("missed", wanted, None) for wanted in theirs] + [("spurious", None, answer) for answer in ours]


def count_errors(gold: Sequence[Sequence[Entity]], predicted: Sequence[Sequence[Entity]]) -> dict[str, int]:
    """How often each of `ERRORS` occurs."""
    counts = Counter(name for pair in zip(gold, predicted, strict=True) for name, _, _ in find_errors(*pair))
    return {name: counts[name] for name in ERRORS}


def entities_of(sentences: Sequence[Sequence[str]]) -> list[list[Entity]]:
    """The entities of sentences of tags in IOB2."""
    return [parse_tags(tags) for tags in sentences]
