"""Sentences of our own with their entities: what a card may show, where the sentences of the data may not be copied."""

from collections.abc import Sequence
from typing import NamedTuple

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from .labels import map_by_name
from .metrics import Error, entities_of, find_errors
from .schemes import Entity
from .windows import tag_sentences

SENTENCES = {
    "Grete Hermann studied in Göttingen with Emmy Noether .": [("PER", 0, 2), ("LOC", 4, 5), ("PER", 6, 8)],
    "Siemens is to build trains for Egypt in Krefeld .": [("ORG", 0, 1), ("LOC", 6, 7), ("LOC", 8, 9)],
    "Paris Berlin never lived in Paris .": [("PER", 0, 2), ("LOC", 5, 6)],
    "The mayor of Lima , Rosa Quispe , met the Red Cross .": [("LOC", 3, 4), ("PER", 5, 7), ("ORG", 10, 12)],
    "Washington lost to the Toronto Raptors last night .": [("ORG", 0, 1), ("ORG", 4, 6)],
    "New fish and chips near Lake Constance !": [("LOC", 5, 7)],
    "anna from deutsche bank called about oslo": [("PER", 0, 1), ("ORG", 2, 4), ("LOC", 6, 7)],
}


class Reading(NamedTuple):
    """A sentence, its entities, those that a model finds, and what is wrong with these."""

    words: list[str]
    expected: list[Entity]
    found: list[Entity]
    errors: list[Error]


def read_sentences(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, types: Sequence[str]) -> list[Reading]:
    """What a model finds in our sentences; nothing where its types are none of theirs.

    Args:
        model: a tagger.
        tokenizer: its own.
        types: of its label space; of persons, organisations and places those are judged that are among them.
    """
    targets = {kind: name for kind, name in map_by_name(("PER", "ORG", "LOC"), types).targets.items() if name}
    readings = []
    for text, entities in SENTENCES.items() if targets else ():
        words = text.split()
        expected = [Entity(targets[kind], start, end) for kind, start, end in entities if kind in targets]
        (found,) = entities_of(tag_sentences(model, tokenizer, [words]))
        # whatever else the types call an entity was not annotated here
        errors = find_errors(expected, [entity for entity in found if entity.type in targets.values()])
        readings.append(Reading(words, expected, found, errors))
    return readings


def describe_sentences(readings: Sequence[Reading]) -> list[dict[str, str]]:
    """A row for each sentence of `read_sentences`."""
    return [
        {
            "sentence": " ".join(reading.words),
            "entities": show(reading.expected, reading.words),
            "found": show(reading.found, reading.words),
            "errors": ", ".join(name for name, *_ in reading.errors) or "none",
        }
        for reading in readings
    ]


def examples_of_errors(readings: Sequence[Reading]) -> dict[str, str]:
    """By name of the error, the first of `read_sentences`: what is there and what is found instead."""
    examples: dict[str, str] = {}
    for reading in readings:
        for name, *pair in reading.errors:
            expected, found = (show([entity] if entity else [], reading.words) for entity in pair)
            examples.setdefault(name, f"{expected}, found: {found}")
    return examples


def show(entities: Sequence[Entity], words: Sequence[str]) -> str:
    return "; ".join(f"{' '.join(words[each.start : each.end])} ({each.type})" for each in entities) or "nothing"
