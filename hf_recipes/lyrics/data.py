"""Songs with what is to be told of them: load, check, leave out near duplicates, and draw folds that share no artist."""

import logging
from typing import Any, NamedTuple

import numpy as np
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.model_selection import StratifiedGroupKFold

from ..loading import encode_labels, hub_revision, load_splits
from ..words import add_words, learn_phrases

logger = logging.getLogger(__name__)

BINS = 5  # of values, among which folds are balanced
SHINGLE = 3  # words
VALIDATION = 10  # parts of what is not the test, of which one validates; fewer where a class or the groups are few
MOST_NAMES = 8  # that an error names
BLOCK = 500  # songs that are compared with all others at a time


class LoadedSongs(NamedTuple):
    """Songs in splits.

    Args:
        splits: `train`, `validation` and `test`, each with the columns `text`, `words`, `label`, `group` and `index`, the row in the data set,
            and `year` where there is such a column.
        names: of the classes, or None for values.
        duplicates: songs left out since another one has nearly the same words.
        shared: groups of the test that are in the training too, as a data set's own splits may have it.
        tested_on: what the test is where it is not the data set's own test split, else None.
        revision: the commit of the data set on the Hub, if it came from there.
    """

    splits: DatasetDict
    names: list[str] | None
    duplicates: int
    shared: int
    tested_on: str | None
    revision: str | None


def load_songs(
    dataset: str,
    *,
    label_column: str,
    text_column: str = "lyrics",
    group_column: str | None = "artist_name",
    year_column: str | None = None,
    phrases: int = 0,
    config: str | None = None,
    revision: str | None = None,
    folds: int = 5,
    similarity: float = 0.2,
    seed: int = 0,
) -> LoadedSongs:
    """Songs of any data set or CSV with a column of texts and one of classes or values.

    A data set without a test split is cut into folds that share no group and are alike in their labels: the test is fold `seed` modulo
    `folds`, of the cut that `seed` divided by `folds` draws, the validation about a tenth of the rest.

    Args:
        dataset: a Hub id, or a file or folder that `load_dataset` reads.
        label_column: of classes (texts, whole numbers or `ClassLabel`) or of values (floats).
        text_column: of the lyrics.
        group_column: what must not be on both sides of a split, such as the artist; None where songs are independent.
        year_column: of when a song is from, a number; None if nothing is to be made of it.
        phrases: pairs of words are taken as one word that occur more often than this in the training songs, and than chance would have it;
            0 takes none.
        config, revision: of a data set on the Hub: which of several it holds, and its branch, tag or commit.
        folds: of the cut, at least 2.
        similarity: of the sets of three words in a row (Jaccard) above which two songs are duplicates, 0 to 1; 1 looks for none.
        seed: of the cut.

    Raises:
        FileNotFoundError, ValueError: naming the data set, column and row, and what to do.
    """
    if folds < 2:
        raise ValueError(f"--folds is {folds}; one tests, so that at least 2 are needed")
    splits = load_splits(dataset, config, revision)
    found = hub_revision(next(iter(splits.values())))
    if "train" not in splits:
        raise ValueError(f"{dataset} has the splits {', '.join(splits)}; 'train' is needed")
    # a song that is in two splits is left out of the training
    chosen = {name: splits[name] for name in ("test", "validation", "train") if name in splits}
    columns = {"text": text_column, "label": label_column, "group": group_column, "year": year_column}
    columns = {option: column for option, column in columns.items() if column}
    chosen = DatasetDict({name: check_rows(split, name, columns) for name, split in chosen.items()})
    names = None
    if chosen["train"].features["label"].dtype not in ("float32", "float64"):
        chosen, names = encode_labels(chosen, "label", known=None)
        if len(names) < 2:
            raise ValueError(f"all songs are of the class {names[0]}; choose a column with --label_column")
    chosen = DatasetDict({name: add_words(split, name) for name, split in chosen.items()})
    chosen, duplicates = leave_out_duplicates(chosen, similarity)
    tested_on = None
    if "test" not in chosen:
        tested_on = (
            f"fold {seed % folds + 1} of {folds} that share no {group_column or 'song'}, cut {seed // folds + 1}"
        )
        chosen["train"], chosen["test"] = cut(chosen["train"], folds, seed % folds, seed // folds, names)
    if "validation" not in chosen:
        parts = most_parts(chosen["train"], names)
        chosen["train"], chosen["validation"] = cut(chosen["train"], parts, seed % parts, seed // folds, names)
    if phrases:
        pairs = learn_phrases(chosen["train"]["words"][:], phrases)
        logger.info("%d pairs of words are taken as one word", len(pairs))
        chosen = DatasetDict({name: add_words(split, name, pairs) for name, split in chosen.items()})
    shared = len(set(chosen["train"]["group"]) & set(chosen["test"]["group"]))
    if shared and group_column:
        logger.warning(
            "%d of the test's values of %s are in the training songs too: its splits were cut so", shared, group_column
        )
    return LoadedSongs(chosen, names, duplicates, shared if group_column else 0, tested_on, found)


def check_rows(split: Dataset, name: str, columns: dict[str, str]) -> Dataset:
    """The columns under the names of this task, with a text and a label in each row."""
    for option, column in columns.items():
        if column not in split.column_names:
            raise ValueError(
                f"{name} has no column {column!r}; it has {', '.join(split.column_names)}. Choose with --{option}_column"
            )
    label = split.features[columns["label"]]
    if not isinstance(label, (Value, ClassLabel)):
        raise ValueError(
            f"{name}: {columns['label']} holds {label}, not a class or a value. Choose with --label_column"
        )
    rows: dict[str, Any] = {option: split[column][:] for option, column in columns.items()}
    rows["index"] = list(range(len(split)))
    rows.setdefault("group", rows["index"])
    for row, (text, answer, group) in enumerate(zip(rows["text"], rows["label"], rows["group"])):
        if not isinstance(text, str) and text is not None:
            raise ValueError(
                f"row {row} of {name}: {columns['text']} is {text!r}, not a text. Choose with --text_column"
            )
        if not text or not text.strip():
            raise ValueError(f"row {row} of {name}: {columns['text']} is empty; leave such songs out")
        if group is None or group == "":
            raise ValueError(
                f"row {row} of {name}: {columns['group']} is missing; leave such songs out, or give --group_column none"
            )
        if answer is None or answer != answer or answer == "":
            raise ValueError(f"row {row} of {name}: {columns['label']} is missing; leave such songs out")
    rows["group"] = [str(group) for group in rows["group"]]
    features = {
        "text": Value("string"),
        "label": label,
        "index": Value("int64"),
        "group": Value("string"),
    }
    if "year" in columns:
        features["year"] = Value("float64")
        for row, year in enumerate(rows["year"]):
            if not isinstance(year, (int, float)) or year != year:
                raise ValueError(f"row {row} of {name}: {columns['year']} is {year!r}; a number is needed")
    return Dataset.from_dict({key: rows[key] for key in features}, features=Features(features))


def leave_out_duplicates(splits: DatasetDict, similarity: float) -> tuple[DatasetDict, int]:
    """The splits without songs that have nearly the same words as an earlier one, and how many these are. The test, which is the first
    where it is there, stays as it is known to others."""
    if similarity >= 1:
        return splits, 0
    kept = first_of_duplicates([words for split in splits.values() for words in split["words"]], similarity)
    kept[: len(splits.get("test", []))] = True
    duplicates, start, left = int((~kept).sum()), 0, {}
    for name, split in splits.items():
        left[name] = split.select(np.flatnonzero(kept[start : start + len(split)]))
        start += len(split)
    if duplicates:
        logger.info("%d songs are left out: another one has nearly the same words", duplicates)
    return DatasetDict(left), duplicates


def first_of_duplicates(documents: list[list[str]], similarity: float) -> np.ndarray:
    """`(documents,)`: False for those that have nearly the same sets of three words in a row as an earlier one."""
    shingles = [
        {" ".join(words[start : start + SHINGLE]) for start in range(max(1, len(words) - SHINGLE + 1))}
        for words in documents
    ]
    table = CountVectorizer(analyzer=lambda each: each, binary=True, dtype=np.float32).fit_transform(shingles)
    sizes = np.asarray(table.sum(1)).ravel()
    kept = np.ones(len(documents), bool)
    for start in range(0, len(documents), BLOCK):
        shared = (table[start : start + BLOCK] @ table.T).tocoo()
        first, second = shared.row + start, shared.col
        near = shared.data / (sizes[first] + sizes[second] - shared.data) > similarity
        kept[first[near & (second < first)]] = False
    return kept


def most_parts(split: Dataset, names: list[str] | None) -> int:
    """Into how many parts songs can be cut, up to `VALIDATION`."""
    parts = min(VALIDATION, len(set(split["group"])))
    if names is not None:
        counts = np.bincount(split["label"][:])
        parts = min(parts, int(counts[counts > 0].min()))
    return max(parts, 2)


def cut(split: Dataset, folds: int, fold: int, seed: int, names: list[str] | None) -> tuple[Dataset, Dataset]:
    """The rest and one of several folds, which share no group and are alike in their labels."""
    labels, groups = np.array(split["label"][:]), np.array(split["group"][:])
    if len(set(groups)) < folds:
        raise ValueError(
            f"{len(set(groups))} groups cannot be cut into {folds} folds; give more songs, or fewer --folds"
        )
    if names is not None:
        counts = np.bincount(labels, minlength=len(names))
        rare = [f"{name} ({count})" for name, count in zip(names, counts) if 0 < count < folds]
        if rare:
            raise ValueError(
                f"too few songs to cut into {folds} folds: {', '.join(rare[:MOST_NAMES])}{', ...' if len(rare) > MOST_NAMES else ''}; leave them "
                "out, or give fewer --folds; values to be told are numbers with a point"
            )
        strata = labels
    else:
        strata = np.searchsorted(np.quantile(labels, np.linspace(0, 1, BINS + 1)[1:-1]), labels)
    cutter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    rest, held = list(cutter.split(labels, strata, groups))[fold]
    return split.select(np.sort(rest)), split.select(np.sort(held))
