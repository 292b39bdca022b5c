"""Data sets, for several tasks: load them, find their columns, number their classes."""

import hashlib
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, Value, concatenate_datasets, load_dataset

logger = logging.getLogger(__name__)

ROWS = {".csv": "csv", ".json": "json", ".jsonl": "json", ".parquet": "parquet"}  # what reads files of rows
READABLE = {Image: "(large_)?(string|binary)", ClassLabel: "(large_)?string|u?int\\d+|bool"}  # types of plain values


def load_splits(dataset: str, config: str | None = None, revision: str | None = None) -> DatasetDict:
    """The splits of a Hub id, of a folder that `load_dataset` reads (one of class folders, for instance), or of a file of rows.

    Args:
        dataset: the id, folder or file (CSV, JSON lines or Parquet).
        config: of a data set that has several.
        revision: branch, tag or commit on the Hub.

    Raises:
        FileNotFoundError: when it is neither.
        ValueError: when none is given, or the folder is empty.
    """
    if not dataset:
        raise ValueError("no data: give --dataset, a Hub id, a folder or a file of rows")
    folder = Path(dataset)
    if folder.is_file() and folder.suffix.lower() in ROWS:
        return load_dataset(ROWS[folder.suffix.lower()], data_files=str(folder))
    if folder.is_dir() and not any(path.is_file() for path in folder.rglob("*")):
        raise ValueError(f"{folder} is empty; put the data there, or give another --dataset")
    if not folder.is_dir() and (folder.is_absolute() or dataset.startswith((".", "~")) or dataset.count("/") > 1):
        raise FileNotFoundError(f"the folder {dataset} does not exist; --dataset is a folder or a Hub id")
    try:
        return load_dataset(dataset, config, revision=revision)
    except OSError as error:
        if folder.is_dir():
            raise ValueError(f"the folder {dataset} cannot be read as a data set: {error}") from error
        raise FileNotFoundError(
            f"{dataset!r} is neither a folder here nor a data set that the Hub gives out ({error}); "
            "--dataset is a folder or a Hub id"
        ) from error


def check_shares(validation_share: float, test_share: float, train_fraction: float) -> None:
    """Raises a `ValueError` that names the option."""
    for option, share, most in (
        ("validation_share", validation_share, 0.9),
        ("test_share", test_share, 0.9),
        ("train_fraction", train_fraction, 1.0),
    ):
        if not 0 < share <= most:
            raise ValueError(f"--{option} is {share}; it is a share above 0 and at most {most}")
    if validation_share + test_share >= 1:
        raise ValueError(
            f"--validation_share {validation_share} and --test_share {test_share} leave nothing to train on; give smaller ones"
        )


def draw_groups(groups: np.ndarray, share: float, seed: int) -> np.ndarray:
    """`(examples,)`: True for a share of the examples, whole groups, drawn by the seed; never all of them.

    Args:
        groups: of the examples, numbers or names; two at least.
    """
    numbers = np.unique(groups, return_inverse=True)[1]
    order = np.random.default_rng(seed).permutation(numbers.max() + 1)
    sizes = np.cumsum(np.bincount(numbers)[order])
    count = min(int(np.searchsorted(sizes, share * len(numbers))) + 1, len(order) - 1)
    return np.isin(numbers, order[:count])


def choose_splits(splits: DatasetDict, label_column: str) -> tuple[DatasetDict, str | None]:
    """`train`, and of `validation` and `test` what there is with labels; a validation split alone becomes the test."""
    chosen = {name: splits[name] for name in ("train", "validation", "test") if name in splits}
    if "test" in chosen and not has_labels(chosen["test"], label_column):
        logger.warning("The test split has no labels and is not used")
        del chosen["test"]
    if "test" in chosen or "validation" not in chosen:
        return DatasetDict(chosen), None
    return DatasetDict(train=chosen["train"], test=chosen["validation"]), "its validation split"


def has_labels(split: Dataset, column: str) -> bool:
    """False for the tests of competitions, whose labels are -1, empty or not there."""
    return column in split.column_names and not set(split[column]) <= {-1, None}


def find_column(split: Dataset, kind: type, given: str | None, option: str) -> str:
    """The column of an option, or the only one of its type. That of an option may also hold what can be read as its type: paths or bytes
    as images, texts, whole numbers or truth values as classes.

    Raises:
        ValueError: naming the columns there are and the option to choose with.
    """
    if given is not None:
        if given not in split.column_names:
            raise ValueError(f"the data set has no column {given!r}; it has {', '.join(split.column_names)}")
        feature = split.features[given]
        readable = isinstance(feature, Value) and re.fullmatch(READABLE[kind], feature.dtype)
        if not (isinstance(feature, kind) or readable):
            held = feature.dtype if isinstance(feature, Value) else type(feature).__name__
            raise ValueError(f"{option} {given!r} holds {held}, which is no {kind.__name__}; choose another column")
        return given
    found = [name for name, feature in split.features.items() if isinstance(feature, kind)]
    if len(found) != 1:
        columns = ", ".join(f"{name} ({type(feature).__name__})" for name, feature in split.features.items())
        raise ValueError(f"the data set has {len(found)} columns of {kind.__name__}: {columns}. Choose with {option}")
    return found[0]


def decode_images(
    split: Dataset,
    name: str,
    columns: list[str],
    features: Features,
    decode_batch: Callable[..., dict[str, list]],
    batch_size: int = 100,
) -> Dataset:
    """Rows of `features` from `decode_batch(rows, indices)`, which finds the columns of images undecoded, so that it can name a broken
    one."""
    for column in columns:
        split = split.cast_column(column, Image(decode=False))
    return split.map(
        decode_batch,
        batched=True,
        batch_size=batch_size,
        with_indices=True,
        remove_columns=split.column_names,
        features=features,
        desc=f"Decoding {name}",
    )


def code_digest(folder: Path) -> str:
    """Of the code that makes decoded rows, that of a task's folder and of what opens images: `datasets` would not notice its
    change and reuse what older code made."""
    sources = [*folder.glob("*.py"), Path(__file__).with_name("images.py")]
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(sources))).hexdigest()[:16]


def encode_labels(splits: DatasetDict, column: str, known: str | None = "train") -> tuple[DatasetDict, list[str]]:
    """The label column as `ClassLabel`, and the names of its classes.

    Args:
        splits: by name.
        column: of `ClassLabel` or of any values.
        known: the split whose values are the classes; None for those of all splits.

    Raises:
        ValueError: naming the split and row of a label that is none of them.
    """
    columns = {name: list(split[column]) for name, split in splits.items()}
    for name, labels in columns.items():
        if None in labels:
            raise ValueError(f"row {labels.index(None)} of {name}: {column} is empty ({labels.count(None)} such rows)")
    feature = splits[known or next(iter(splits))].features[column]
    if not isinstance(feature, ClassLabel):
        values = sorted({value for name in ([known] if known else splits) for value in columns[name]})
        feature = ClassLabel(names=[str(value) for value in values])
        number = {value: place for place, value in enumerate(values)}
        for name, labels in columns.items():
            for row, value in enumerate(labels):
                if value not in number:
                    raise ValueError(f"row {row} of {name}: {column} is {value!r}, which no training image has")
            columns[name] = [number[value] for value in labels]
            numbered = Dataset.from_dict({column: columns[name]}, features=Features({column: feature}))
            splits[name] = concatenate_datasets([splits[name].remove_columns(column), numbered], axis=1)
    trained = set(columns[known]) if known else set()
    for name, labels in columns.items():
        outside = [row for row, label in enumerate(labels) if not 0 <= label < feature.num_classes]
        if outside:
            raise ValueError(
                f"row {outside[0]} of {name}: {column} is {labels[outside[0]]}, and the classes are numbered 0 to "
                f"{feature.num_classes - 1} ({len(outside)} such rows)"
            )
        unknown = [row for row, label in enumerate(labels) if known and label not in trained]
        if unknown:
            raise ValueError(
                f"row {unknown[0]} of {name}: {column} is {feature.names[labels[unknown[0]]]!r}, which no training image has "
                f"({len(unknown)} such rows)"
            )
    return splits, feature.names


def hub_revision(dataset: Any) -> str | None:
    """The commit of the data set's repository, which `datasets` keeps in the path of its cache only."""
    files = [file["filename"] for file in getattr(dataset, "cache_files", [])]
    return next((part for file in files for part in Path(file).parts if re.fullmatch("[0-9a-f]{40}", part)), None)
