import numpy as np
import pytest

from hf_recipes.ner.labels import map_by_name, tag_names
from hf_recipes.ner.metrics import EntityScores
from hf_recipes.ner.mismatch import describe_labels, names_by_number, readings_of

SOURCE, TARGET = tag_names(["MISC", "PER", "ORG"]), tag_names(["person", "ORG"])
GOLD = [["B-person", "I-person", "O", "B-ORG"], ["O", "B-ORG"]]
# what a perfect tagger of the source's types says of them
SCORES = [9.0 * np.eye(7)[[3, 4, 0, 5]], 9.0 * np.eye(7)[[1, 5]]]  # "MISC" on a word that is nothing to the target


def test_each_reading_fails_for_its_own_cause():
    readings = readings_of(SCORES, SOURCE, TARGET, map_by_name(["MISC", "PER", "ORG"], ["person", "ORG"]), "IOB2")
    scores = {name: EntityScores().compute(predictions=tags, references=GOLD) for name, tags in readings.items()}
    assert scores["through the map"]["f1"] == 1
    assert scores["its labels by name"]["f1"] == pytest.approx(
        2 * 2 / (4 + 3)
    )  # organisations only, and one MISC too many
    assert scores["its labels by number"]["f1"] == 0  # PER is ORG by number, and ORG is nothing
    assert scores["through the map, in IOB1"]["f1"] == 0  # entities without a B are none to IOB2


@pytest.mark.parametrize("scheme", ["IO", "BIOES"])
def test_numbers_are_read_as_the_data_write_them(scheme):
    """Whatever the source's own scheme."""
    source = ["O", *(f"{letter}-{kind}" for kind in ("X", "Y") for letter in ("I" if scheme == "IO" else "BIES"))]
    scores = [9.0 * np.eye(len(source))[[1, 2, 0]]]
    readings = readings_of(scores, source, TARGET, map_by_name(["X", "Y"], ["person", "ORG"]), scheme)
    assert readings["its labels by number"] == [["B-person", "I-person", "O"]]


def test_labels_are_described_by_what_they_are_given_to():
    assert names_by_number(SOURCE, TARGET) == ["O", "B-person", "I-person", "B-ORG", "I-ORG", "O", "O"]
    assert names_by_number(TARGET, SOURCE) == SOURCE[:5]
    rows = describe_labels(SCORES, SOURCE, TARGET, GOLD)
    assert [row["words"] for row in rows] == [1, 1, 0, 1, 1, 2, 0]
    assert rows[3] == {
        "label": "B-PER",
        "number": 3,
        "taken for by number": "B-ORG",
        "words": 1,
        "which are": "B-person 100%",
    }
    assert rows[2]["which are"] == ""
