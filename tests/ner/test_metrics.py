from types import SimpleNamespace

import numpy as np
import pytest
from seqeval.metrics import classification_report
from seqeval.scheme import IOB2

from hf_recipes.ner.analysis import count_repeats
from hf_recipes.ner.labels import tag_names
from hf_recipes.ner.metrics import (
    ERRORS,
    EntityScores,
    count_errors,
    count_matches,
    describe_examples,
    entities_of,
    f1_interval,
    find_errors,
    scores_by,
)
from hf_recipes.ner.schemes import Entity, parse_tags, write_tags


def random_tags(number: int, seed: int, length: int = 8) -> list[list[str]]:
    """Tags in IOB2, drawn one by one and repaired."""
    generator = np.random.default_rng(seed)
    names = tag_names("ab") + ["O"] * 3
    drawn = [[names[place] for place in generator.integers(0, len(names), length)] for _ in range(number)]
    return [write_tags(entities, length) for entities in (parse_tags(tags, repair=True) for tags in drawn)]


def test_scores_by_type_are_those_of_seqeval():
    gold, predicted = random_tags(200, 0), random_tags(200, 1)
    report = classification_report(gold, predicted, scheme=IOB2, mode="strict", output_dict=True, zero_division=0)
    found = scores_by(entities_of(gold), entities_of(predicted), lambda _, entity: entity.type)
    for kind in "ab":
        assert found[kind]["f1"] == pytest.approx(report[kind]["f1-score"])
        assert found[kind]["precision"] == pytest.approx(report[kind]["precision"])
        assert (
            found[kind]["recall"] == pytest.approx(report[kind]["recall"])
            and found[kind]["gold"] == report[kind]["support"]
        )
    scores = EntityScores().compute(predictions=predicted, references=gold)
    everything = scores_by(entities_of(gold), entities_of(predicted), lambda *_: "all")["all"]
    assert scores["f1"] == pytest.approx(report["micro avg"]["f1-score"]) == pytest.approx(everything["f1"])
    matches = count_matches(entities_of(gold), entities_of(predicted))
    low, high = f1_interval(matches)
    assert low < scores["f1"] < high and high - low < 0.15
    examples = describe_examples(
        {"model": matches}, blocks=30
    )  # what a study compares: the parts and wholes of 30 blocks
    parts, wholes = np.sum(examples["scores"]["f1"]["model"], 0)
    assert len(examples["ids"]) == 30 and parts / wholes == pytest.approx(scores["f1"])


def test_scores_by_hand():
    gold = [["B-a", "I-a", "O", "B-b"], ["B-a", "O"]]
    predicted = [["B-a", "I-a", "O", "B-a"], ["O", "O"]]
    scores = EntityScores().compute(predictions=predicted, references=gold)
    assert scores == pytest.approx(
        {"precision": 1 / 2, "recall": 1 / 3, "f1": 0.4, "untyped_f1": 0.8, "accuracy": 4 / 6}
    )
    nothing = EntityScores().compute(predictions=[["O", "O"]], references=[["O", "B-a"]])
    assert nothing["f1"] == nothing["precision"] == 0


def test_names_that_differ_score_nothing_and_their_spans_everything():
    gold, predicted = [["B-person", "I-person", "O"]], [["B-PER", "I-PER", "O"]]
    scores = EntityScores().compute(predictions=predicted, references=gold)
    assert scores["f1"] == 0 and scores["untyped_f1"] == 1


def test_errors_by_hand():
    gold = [
        Entity("a", 0, 2),
        Entity("b", 3, 5),
        Entity("a", 6, 8),
        Entity("b", 9, 12),
        Entity("a", 14, 15),
        Entity("a", 20, 21),
    ]
    predicted = [
        Entity("a", 0, 2),  # right
        Entity("a", 3, 5),
        Entity("a", 6, 7),
        Entity("a", 10, 13),
        Entity("b", 17, 18),
        Entity("a", 20, 21),  # right
    ]
    assert find_errors(gold, predicted) == [
        ("wrong type", gold[1], predicted[1]),
        ("wrong boundary", gold[2], predicted[2]),
        ("wrong type and boundary", gold[3], predicted[3]),
        ("missed", gold[4], None),
        ("spurious", None, predicted[4]),
    ]
    assert count_errors([gold, []], [predicted, [Entity("a", 0, 1)]]) == dict(zip(ERRORS, (1, 1, 1, 1, 2)))


def test_sentences_of_the_training_are_told_apart_from_new_ones():
    splits = {"train": {"words": [["a"], ["b"]]}, "test": {"words": [["a"], ["c"], ["c", "a"]]}}
    found = count_repeats(SimpleNamespace(splits=splits), np.array([[1, 1, 1], [0, 1, 1], [1, 1, 1]]))
    assert found == {"repeated_sentences": 1, "f1_of_new_sentences": 0.5}


def test_an_entity_is_in_one_error_only():
    # one long answer over two gold entities: the boundary of the one of its type, and the other is missed
    gold, predicted = [Entity("a", 0, 1), Entity("b", 1, 4)], [Entity("a", 0, 4)]
    assert find_errors(gold, predicted) == [("wrong boundary", gold[0], predicted[0]), ("missed", gold[1], None)]
    gold, predicted = entities_of(random_tags(300, 2)), entities_of(random_tags(300, 3))
    for theirs, ours in zip(gold, predicted):
        errors = find_errors(theirs, ours)
        right = len({*theirs} & {*ours})
        assert right + sum(wanted is not None for _, wanted, _ in errors) == len(theirs)
        assert right + sum(answer is not None for _, _, answer in errors) == len(ours)
