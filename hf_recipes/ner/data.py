"""Sentences of words with the tags of their entities: load, check, bring to one scheme, draw splits."""

import logging
from collections import Counter
from typing import Any, NamedTuple

import numpy as np
from datasets import ClassLabel, Dataset, DatasetDict, List, Value

from ..loading import check_shares, hub_revision, load_splits
from .labels import tag_names, types_of
from .schemes import Entity, find_scheme, parse_tags, split_tag, write_tags

logger = logging.getLogger(__name__)


class LoadedSentences(NamedTuple):
    """Sentences in splits.

    Args:
        splits: `train`, `validation` and `test`, each with the columns `words` and `tags` (IOB2) and `index`, the row in the data set.
        types: of entities, in the order of the label space.
        tested_on: what the test is where it is not the data set's own test split, else None.
        revision: the commit of the data set on the Hub, if it came from there.
    """

    splits: DatasetDict
    types: list[str]
    tested_on: str | None
    revision: str | None = None

    @property
    def tags(self) -> list[str]:
        """The label space, in IOB2."""
        return tag_names(self.types)

    def count_entities(self, split: str) -> Counter[str]:
        """Entities of each type."""
        return Counter(entity.type for entity in self.entities(split, flat=True))

    def entities(self, split: str, flat: bool = False) -> list:
        """By sentence, or `flat` in one list."""
        found = [parse_tags(tags) for tags in self.splits[split]["tags"]]
        return [entity for each in found for entity in each] if flat else found


def load_sentences(
    dataset: str,
    *,
    config: str | None = None,
    revision: str | None = None,
    words_column: str | None = None,
    tags_column: str | None = None,
    types: list[str] | None = None,
    repair_tags: bool = False,
    validation_share: float = 0.1,
    test_share: float = 0.1,
    train_sentences: int | None = None,
    seed: int = 0,
) -> LoadedSentences:
    """Sentences of any data set that has a column of lists of words and one of lists of tags.

    Tags are brought to IOB2; their scheme is found by their letters. Sentences without words are left out and counted in the log.

    Args:
        dataset: a Hub id, or a folder that `load_dataset` reads.
        config, revision: of a data set on the Hub: which of several it holds, and its branch, tag or commit.
        words_column, tags_column: found where None: `tokens` or `words`, and `ner_tags` or `tags`.
        types: order of the types in the label space; that of the data set's labels where None.
        repair_tags: take tags that cannot stand where they do for what they most likely mean, instead of an error.
        validation_share, test_share: of the training sentences, drawn by `seed`, where the data set has no such split.
        train_sentences: so many of them train, drawn by the seed; all where None.
        seed: of the draws.

    Raises:
        FileNotFoundError, ValueError: naming the data set, column, row and word, and what to do.
    """
    check_shares(validation_share, test_share, 1.0)
    splits = load_splits(dataset, config, revision)
    if "train" not in splits:
        raise ValueError(f"{dataset} has the splits {', '.join(splits)}; 'train' is needed")
    words_column = find_list(splits["train"], words_column, ("tokens", "words"), "--words_column")
    tags_column = find_list(splits["train"], tags_column, ("ner_tags", "tags"), "--tags_column")
    chosen = {name: splits[name] for name in ("train", "validation", "test") if name in splits}
    if "test" in chosen and not has_tags(chosen["test"], tags_column):
        logger.warning("The test split has no tags and is not used")
        del chosen["test"]
    revision = hub_revision(splits["train"])
    named = {name: name_tags(split, tags_column, name) for name, split in chosen.items()}
    alphabet = alphabet_of(splits["train"], tags_column, named)
    scheme = find_scheme(alphabet, (tags for each in named.values() for tags in each))
    known = types_of(alphabet)
    if types is not None and sorted(types) != sorted(known):
        raise ValueError(
            f"--types are {', '.join(types)}, and the data have {', '.join(known)}; give all of them, in another order"
        )
    for name, split in chosen.items():
        chosen[name] = to_iob2(split[words_column], named[name], scheme, name, repair_tags)
    tested_on = None
    if "test" not in chosen:
        tested_on = f"{test_share:.0%} of the sentences, drawn by the seed"
        chosen["train"], chosen["test"] = draw(chosen["train"], test_share, seed)
    if "validation" not in chosen:
        chosen["train"], chosen["validation"] = draw(chosen["train"], validation_share, seed)
    if train_sentences is not None:
        if not 0 < train_sentences <= len(chosen["train"]):
            raise ValueError(f"--train_sentences is {train_sentences}; there are {len(chosen['train'])}")
        chosen["train"] = chosen["train"].shuffle(seed=seed).take(train_sentences)
    return LoadedSentences(DatasetDict(chosen), list(types or known), tested_on, revision)


def has_tags(split: Dataset, column: str) -> bool:
    """False for the tests of competitions, whose tags are -1, empty or not there."""
    return column in split.column_names and any(tag not in (-1, None) for tags in split[column] for tag in tags or [])


def find_list(split: Dataset, given: str | None, usual: tuple[str, ...], option: str) -> str:
    """A column of lists: that of the option, or one of the usual names."""
    columns = {name: feature for name, feature in split.features.items() if isinstance(feature, List)}
    if given is not None and given not in columns:
        raise ValueError(f"{option} {given!r} is no column of lists; there are {', '.join(columns) or 'none'}")
    found = given or next((name for name in usual if name in columns), None)
    if found is None:
        raise ValueError(
            f"the data set has no column {' or '.join(usual)}; it has {', '.join(split.column_names)}. Choose with {option}"
        )
    return found


def name_tags(split: Dataset, column: str, name: str) -> list[list[str]]:
    """Tags by name, where the column holds numbers of class labels; each is one."""
    feature = split.features[column].feature
    numbered = isinstance(feature, ClassLabel)
    if not numbered and not (isinstance(feature, Value) and feature.dtype in ("string", "large_string")):
        raise ValueError(
            f"the column {column} holds numbers without names; give the data set's features names (ClassLabel), or tags such as B-PER"
        )
    rows = []
    for index, row in enumerate(split[column]):
        rows.append([])
        for word, tag in enumerate(row or []):
            try:
                if tag is None or (numbered and not 0 <= tag < feature.num_classes):
                    raise ValueError(
                        f"the tag is {tag}" + (f"; numbers are 0 to {feature.num_classes - 1}" if numbered else "")
                    )
                rows[-1].append(feature.names[tag] if numbered else tag)
                split_tag(rows[-1][-1])
            except ValueError as error:
                raise ValueError(f"row {index} of {name}, word {word}: {error}") from error
    return rows


def alphabet_of(split: Dataset, column: str, named: dict[str, list[list[str]]]) -> list[str]:
    """All tags of the types that there are, in the data set's own order if it has one, else in that of the alphabet."""
    feature, found = split.features[column].feature, {tag for rows in named.values() for row in rows for tag in row}
    if not isinstance(feature, ClassLabel):
        return sorted(found, key=lambda tag: (tag[2:], tag))
    types = {split_tag(tag)[1] for tag in found}
    unused = types_of([tag for tag in feature.names if split_tag(tag)[1] not in types])
    if unused:  # data sets of several domains name the types of all of them
        logger.warning("No sentence holds %s, which the data set names; the label space is without", ", ".join(unused))
    return [tag for tag in feature.names if tag == "O" or split_tag(tag)[1] in types]


def to_iob2(words: list[list[str]], tags: list[list[str]], scheme: str, name: str, repair: bool) -> Dataset:
    rows: dict[str, list[Any]] = {"words": [], "tags": [], "index": []}
    for index, (sentence, of_words) in enumerate(zip(words, tags)):
        where, sentence = f"row {index} of {name}", sentence or []
        if len(sentence) != len(of_words):
            raise ValueError(f"{where}: {len(sentence)} words and {len(of_words)} tags")
        if not sentence:
            continue
        if None in sentence:
            raise ValueError(f"{where}: word {sentence.index(None)} is missing")
        try:
            entities: list[Entity] = parse_tags(of_words, scheme, repair)
        except ValueError as error:
            raise ValueError(f"{where}: {error}; or repair such tags with --repair_tags true") from error
        rows["words"].append([str(word) for word in sentence])
        rows["tags"].append(write_tags(entities, len(sentence)))
        rows["index"].append(index)
    if len(rows["index"]) < len(words):
        logger.warning("%d sentences of %s have no words and are left out", len(words) - len(rows["index"]), name)
    return Dataset.from_dict(rows)


def draw(split: Dataset, share: float, seed: int) -> tuple[Dataset, Dataset]:
    """The rest and a share of the sentences, one at least of each."""
    number = max(1, round(share * len(split)))
    if number >= len(split):
        raise ValueError(f"{len(split)} sentences are too few to draw splits from")
    rows = np.random.default_rng(seed).permutation(len(split))
    return split.select(np.sort(rows[number:])), split.select(np.sort(rows[:number]))
