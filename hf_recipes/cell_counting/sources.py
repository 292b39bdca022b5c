"""Where cell images come from: a Hub id, a folder, pairs of files, or the simulator; and how they are split."""

import re
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, DatasetDict, Features, Image, List, Value, concatenate_datasets
from PIL import Image as PILImage

from .. import loading
from .synthetic import simulate_cells

IMAGE_COLUMNS = ("image", "img", "images")
# column name -> kind of annotation; a `mask` of two values is taken as `binary`, of more as `instances`
LABEL_KINDS = {
    "points": "points",
    "centers": "points",
    "dots": "dots",
    "dot_image": "dots",
    "mask": "mask",
    "label": "mask",
    "binary": "binary",
    "instances": "instances",
    "density": "density",
}
IMAGE_SUFFIXES = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp")
ANNOTATION_FILE = re.compile(r"^(.*?)[_-]?(dots|mask|density)([_-]?\d*)\.(?:png|tiff?|jpe?g|bmp)$", re.I)
IMAGE_FILE = re.compile(r"^(.*?)[_-]?(?:cells?|image|img)([_-]?\d*)\.(?:png|tiff?|jpe?g|bmp)$", re.I)
SPLITS = ("train", "validation", "test")
SYNTHETIC_SPLITS = {"train": 64, "validation": 16, "test": 24}


def load_splits(dataset: str, config: str | None = None, revision: str | None = None) -> DatasetDict:
    if dataset == "synthetic":
        return DatasetDict(
            {
                name: Dataset.from_list(
                    [row | {"image": encode_png(row["image"]), "mask": encode_png(row["mask"])} for row in rows],
                    features=Features(
                        {
                            "image": Image(),
                            "points": List(List(Value("float32"))),
                            "mask": Image(),
                            "name": Value("string"),
                        }
                    ),
                )
                for number, (name, size) in enumerate(SYNTHETIC_SPLITS.items())
                for rows in [simulate_cells(size, seed=number)]
            }
        )
    folder = Path(dataset)
    if folder.is_dir():
        split_pairs = {split: find_pairs(folder / split) for split in SPLITS if (folder / split).is_dir()}
        if any(split_pairs.values()):
            return DatasetDict({split: pairs for split, pairs in split_pairs.items() if pairs})
        pairs = find_pairs(folder)
        if pairs:
            return DatasetDict({"train": pairs})
    return loading.load_splits(dataset, config, revision)


def encode_png(array: np.ndarray) -> dict[str, Any]:
    buffer = BytesIO()
    PILImage.fromarray(array).save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": None}


def find_pairs(folder: Path) -> Dataset | None:
    """A data set of the pairs in a folder, or None if its files are not named as pairs.

    `001cell.png` and `001dots.png`, or `slide_dots_003.png` beside `slide_003.png`: see `ANNOTATION_FILE`, `IMAGE_FILE`.
    """
    annotations: dict[str, dict[str, Path]] = {}  # by kind and by what their name shares with the image's
    images, marked = {}, {}
    for path in sorted(folder.iterdir()):
        if found := ANNOTATION_FILE.match(path.name):
            annotations.setdefault(found[2].lower(), {})[found[1] + found[3]] = path
        elif path.suffix.lower() in IMAGE_SUFFIXES:
            images[path.stem] = path
            if found := IMAGE_FILE.match(path.name):
                marked[found[1] + found[2]] = path
    if not annotations:
        return None
    if len(annotations) > 1:
        raise ValueError(f"{folder} holds several kinds of annotation ({', '.join(sorted(annotations))}); keep one")
    kind, files = annotations.popitem()
    pairs = [(marked.get(key) or images.get(key), path) for key, path in files.items()]
    alone = [path for image, path in pairs if image is None]
    alone += sorted({*marked.values()} - {image for image, _ in pairs})
    if alone:
        raise ValueError(f"{alone[0]} has no partner: expected pairs such as 001cell.png and 001{kind}.png in {folder}")
    return Dataset.from_dict(
        {
            "image": [str(image) for image, _ in pairs],
            kind: [str(path) for _, path in pairs],
            "name": [image.name for image, _ in pairs],
        }
    ).cast_column("image", Image())


def find_columns(
    splits: DatasetDict, image_column: str | None, label_column: str | None, label_kind: str | None
) -> tuple[str, str, str]:
    """The image column, the annotation's column and its kind, all checked."""
    columns = next(iter(splits.values())).column_names
    image_column = image_column or next((name for name in IMAGE_COLUMNS if name in columns), None)
    label_column = label_column or next((name for name in LABEL_KINDS if name in columns), None)
    for given, option, accepted in (
        (image_column, "--image_column", IMAGE_COLUMNS),
        (label_column, "--label_column", tuple(LABEL_KINDS)),
    ):
        if given not in columns:
            what = f"no column {given!r}" if given else f"none of the columns {', '.join(accepted)}"
            raise ValueError(f"the data set has {what}; it has {', '.join(columns)}. Choose one with {option}")
    label_kind = label_kind or LABEL_KINDS.get(label_column)
    kinds = sorted(set(LABEL_KINDS.values()))
    if label_kind not in kinds:
        raise ValueError(f"--label_kind says what column {label_column!r} holds: one of {', '.join(kinds)}")
    return image_column, label_column, label_kind


def hold_out(splits: DatasetDict, pattern: str, image_column: str) -> DatasetDict:
    """The images of all splits whose file name the regular expression finds as `test`, all others as `train`.

    Raises:
        ValueError: when the expression is not valid, the images have no names, or none or all of them match.
    """
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"--test_names {pattern!r} is no regular expression: {error}") from error
    everything = join_splits(splits)
    found = np.array([expression.search(name) is not None for name in file_names(everything, image_column)])
    if found.all() or not found.any():
        raise ValueError(
            f"--test_names {pattern!r} finds {'all' if found.any() else 'none'} of the {len(found)} images; it has to leave some "
            "for training and some for the test"
        )
    return DatasetDict(train=everything.select(np.flatnonzero(~found)), test=everything.select(np.flatnonzero(found)))


def join_splits(splits: DatasetDict) -> Dataset:
    return concatenate_datasets([splits[name] for name in sorted(splits)])


def file_names(split: Dataset, image_column: str) -> list[str]:
    if "name" in split.column_names:
        return list(split["name"])
    if not isinstance(split.features[image_column], Image):
        raise ValueError(f"the column {image_column!r} holds no files, so that --test_names has no names to look at")
    cells = split.cast_column(image_column, Image(decode=False))[image_column]
    return [Path(cell["path"] or "").name for cell in cells]


def draw_splits(
    splits: DatasetDict, train_size: int | None, validation_size: int | None, test_size: int | None, seed: int
) -> DatasetDict:
    """Training, validation and test examples, drawn by `seed`; no example is in two of them."""
    if test_size is not None:
        everything = join_splits(splits)
        order = np.random.default_rng(seed).permutation(len(everything))
        check_size("--test_size", test_size, len(everything) - 2)
        test, pool = everything.select(order[:test_size]), everything.select(order[test_size:])
        own_validation = None
    else:
        if "train" not in splits:
            raise ValueError(f"the data set has the splits {', '.join(splits)}, and none is called 'train'")
        if "test" not in splits:
            raise ValueError("the data set has no split 'test'; --test_size N draws one from all images")
        test, pool, own_validation = splits["test"], splits["train"], splits.get("validation")
    order = np.random.default_rng([seed, 1]).permutation(len(pool))
    if own_validation is not None and validation_size is None:
        check_size("--train_size", train_size, len(pool))
        return DatasetDict(train=pool.select(order[:train_size]), validation=own_validation, test=test)
    if train_size is None:
        validation_size = max(1, len(pool) // 5) if validation_size is None else validation_size
        check_size("--validation_size", validation_size, len(pool) - 1)
        train_size = len(pool) - validation_size
    check_size("--train_size", train_size, len(pool) - 1)
    check_size("--validation_size", validation_size, len(pool))  # what is left may be less
    rest = order[train_size:]
    validation = rest if validation_size is None else rest[:validation_size]
    return DatasetDict(train=pool.select(order[:train_size]), validation=pool.select(validation), test=test)


def check_size(option: str, size: int | None, most: int) -> None:
    if size is not None and not 1 <= size <= most:
        raise ValueError(f"{option} is {size}; with this data set it can be 1 to {most}")
