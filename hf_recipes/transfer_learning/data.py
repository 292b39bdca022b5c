"""Small sets of images with their classes: load, decode once, find duplicates, draw splits."""

import hashlib
import logging
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import faiss
import imagehash
import numpy as np
import torch
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, Value, concatenate_datasets
from PIL import Image as PILImage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from transformers import BaseImageProcessor

from ..images import open_image, to_rgb
from ..intervals import members_of
from ..loading import (
    check_shares,
    choose_splits,
    code_digest,
    decode_images,
    encode_labels,
    find_column,
    load_splits,
)

logger = logging.getLogger(__name__)

MOST_SIDE = 512  # pixels of the shorter side that are kept; a backbone that sees more is refused
# raw memory, decoded once, kept by Arrow; `hash` is the perceptual hash (64 bits), `digest` that of the pixels
DECODED = Features(
    {
        "pixels": Value("binary"),
        "width": Value("int32"),
        "height": Value("int32"),
        "hash": Value("binary"),
        "digest": Value("binary"),
        "label": Value("int64"),
        "index": Value("int64"),
        "split": Value("string"),
    }
)


class LoadedImages(NamedTuple):
    """Decoded images in splits.

    Args:
        splits: `train`, `validation` and `test`, each with the columns `DECODED`; `index` is the row in the data set's `split`.
        pool: all images of the data set, before the draw.
        rows: of the pool in each split.
        names: of the classes.
        duplicates: the first groups of images that are the same or nearly so, as rows of a report.
        groups: how many of them there are.
        broken: images that cannot be read and are left out.
        dropped: training images left out since a duplicate of theirs is tested on.
        tested_on: what the test is where it is not the data set's own test split, else None.
    """

    splits: DatasetDict
    pool: Dataset
    rows: dict[str, np.ndarray]
    names: list[str]
    duplicates: list[dict[str, Any]]
    groups: int
    broken: int
    dropped: int
    tested_on: str | None


def load_images(
    dataset: str,
    *,
    config: str | None = None,
    revision: str | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    redraw: bool = False,
    validation_share: float = 0.15,
    test_share: float = 0.15,
    train_fraction: float = 1.0,
    duplicate_distance: int = 4,
    skip_broken: bool = False,
    seed: int = 0,
) -> LoadedImages:
    """Images of any data set that has a column of images and one of classes.

    Images whose perceptual hashes differ in at most `duplicate_distance` bits are duplicates (the hash is that of imagehash, the
    signs of low frequencies); a group of duplicates is never parted by a draw.

    Args:
        dataset: a Hub id, or a folder that `load_dataset` reads: class folders, with splits above them or without.
        config, revision: of a data set on the Hub: which of several it holds, and its branch, tag or commit.
        image_column, label_column: found by type where None: the only column of images, the only `ClassLabel`.
        redraw: put all splits together and draw the test and the validation images anew.
        validation_share, test_share: of the images of every class, drawn by `seed`, where the data set has no such split.
        train_fraction: share of the other images of every class that train, one at least.
        duplicate_distance: from 0 (equal hashes) to 64; -1 takes no images for duplicates.
        skip_broken: leave images out that cannot be read, and name them in the log.
        seed: of the draws.

    Raises:
        FileNotFoundError, ValueError: naming the column, split, class or row, and what to do.
    """
    check_shares(validation_share, test_share, train_fraction)
    splits = load_splits(dataset, config, revision)
    if "train" not in splits:
        raise ValueError(f"{dataset} has the splits {', '.join(splits)}; 'train' is needed")
    image_column = find_column(splits["train"], Image, image_column, "--image_column")
    label_column = find_column(splits["train"], ClassLabel, label_column, "--label_column")
    splits, tested_on = choose_splits(splits, label_column)
    splits, names = encode_labels(splits, label_column, known=None if redraw else "train")
    decoded = [decode_split(split, name, image_column, label_column, skip_broken) for name, split in splits.items()]
    broken = [
        describe_file(split, name, image_column, index)
        for (name, split), kept in zip(splits.items(), decoded)
        for index in sorted(set(range(len(split))) - set(kept["index"]))
    ]
    if broken:
        logger.warning("Left out, since they cannot be read: %s", ", ".join(broken))
    images = concatenate_datasets(decoded)
    groups = group_duplicates(images, duplicate_distance)
    rows, dropped = draw_splits(
        np.asarray(images["label"]),
        groups,
        np.asarray(images["split"]),
        names,
        redraw=redraw,
        validation_share=validation_share,
        test_share=test_share,
        train_fraction=train_fraction,
        seed=seed,
    )
    if redraw or "test" not in splits:
        tested_on = f"{test_share:.0%} of the images of every class, drawn by the seed"
    return LoadedImages(
        DatasetDict({name: images.select(chosen) for name, chosen in rows.items()}),
        images,
        rows,
        names,
        describe_duplicates(images, groups, names),
        sum(len(members) > 1 for members in members_of(groups)),
        len(broken),
        dropped,
        tested_on,
    )


def describe_file(split: Dataset, name: str, image_column: str, index: int) -> str:
    cell = split.cast_column(image_column, Image(decode=False))[index][image_column] or {}
    return f"row {index} of {name}" + (f" ({cell['path']})" if cell.get("path") else "")


def decode_split(split: Dataset, name: str, image_column: str, label_column: str, skip_broken: bool) -> Dataset:
    decode = partial(
        decode_batch,
        split_name=name,
        image_column=image_column,
        label_column=label_column,
        skip_broken=skip_broken,
        code=code_digest(Path(__file__).parent),
    )
    return decode_images(split, name, [image_column], DECODED, decode)


def decode_batch(
    rows: dict[str, list],
    indices: list[int],
    split_name: str,
    image_column: str,
    label_column: str,
    skip_broken: bool,
    code: str,
) -> dict[str, list]:
    """One batch of `map`; `code` is there for the cache's fingerprint."""
    decoded: dict[str, list] = {name: [] for name in DECODED}
    for index, cell, label in zip(indices, rows[image_column], rows[label_column]):
        try:
            image = to_rgb(open_image(cell))
        except (OSError, ValueError, SyntaxError, PILImage.DecompressionBombError) as error:
            path = cell.get("path") if isinstance(cell, dict) else None
            what = f"row {index} of {split_name}{f' ({path})' if path else ''}: cannot read the image: {error}"
            if not skip_broken:
                raise ValueError(f"{what}; mend it, or leave such images out with --skip_broken true") from error
            continue  # it is missed below, also when this comes from the cache
        if min(image.size) > MOST_SIDE:
            scale = MOST_SIDE / min(image.size)
            image = image.resize([round(side * scale) for side in image.size], PILImage.Resampling.BICUBIC)
        pixels = image.tobytes()
        decoded["pixels"].append(pixels)
        decoded["width"].append(image.width)
        decoded["height"].append(image.height)
        decoded["hash"].append(np.packbits(imagehash.phash(image).hash).tobytes())
        decoded["digest"].append(hashlib.sha256(pixels).digest()[:16])
        decoded["label"].append(label)
        decoded["index"].append(index)
        decoded["split"].append(split_name)
    return decoded


def to_pil(row: dict[str, Any]) -> PILImage.Image:
    """The image of a row of `DECODED`."""
    return PILImage.frombytes("RGB", (row["width"], row["height"]), row["pixels"])


# -- duplicates ------------------------------------------------------------------------------------
def group_duplicates(images: Dataset, distance: int) -> np.ndarray:
    """The number of each image's group, `(images,)`: chains of images at most `distance` bits apart."""
    if distance < 0:
        return np.arange(len(images))
    hashes = np.frombuffer(b"".join(images["hash"]), np.uint8).reshape(len(images), -1)
    index = faiss.IndexBinaryFlat(8 * hashes.shape[1])
    index.add(hashes)
    limits, _, found = index.range_search(hashes, distance + 1)
    rows = np.repeat(np.arange(len(images)), np.diff(limits.astype(int)))
    graph = coo_array((np.ones(len(rows), bool), (rows, found)), shape=(len(images), len(images)))
    return connected_components(graph, directed=False)[1]


def describe_duplicates(images: Dataset, groups: np.ndarray, names: list[str], most: int = 20) -> list[dict[str, Any]]:
    """One row for each group of several images, those with several classes first, then the largest."""
    labels, splits, indices = np.asarray(images["label"]), images["split"], images["index"]
    digests, rows = np.asarray(images["digest"], object), []
    for members in members_of(groups):
        if len(members) == 1:
            continue
        rows.append(
            {
                "images": ", ".join(f"{splits[member]} {indices[member]}" for member in members[:6])
                + (", ..." if len(members) > 6 else ""),
                "number": len(members),
                "same pixels": "yes" if len(set(digests[members])) == 1 else "",
                "classes": ", ".join(names[label] for label in np.unique(labels[members])),
            }
        )
    return sorted(rows, key=lambda row: (-row["classes"].count(", "), -row["number"]))[:most]


# -- draws -----------------------------------------------------------------------------------------
def draw_splits(
    labels: np.ndarray,
    groups: np.ndarray,
    origin: np.ndarray,
    names: list[str],
    *,
    redraw: bool,
    validation_share: float,
    test_share: float,
    train_fraction: float,
    seed: int,
) -> tuple[dict[str, np.ndarray], int]:
    """The rows of `train`, `validation` and `test` in order, and how many training images are left out since a duplicate is in a given split.

    Args:
        labels, groups, origin: `(images,)` each: the class, the number of the group of duplicates, and the data set's own split.
        names: of the classes.
        redraw, validation_share, test_share, train_fraction, seed: of `load_images`.

    Raises:
        ValueError: naming a class that has too few images.
    """
    generator, rows = np.random.default_rng(seed), {}
    draw_test, draw_validation = (redraw or not (origin == name).any() for name in ("test", "validation"))
    if draw_test:
        pool = np.arange(len(labels)) if redraw else np.flatnonzero(origin == "train")
        rows["test"], rest = draw_by_class(pool, labels, groups, test_share, generator, names)
    else:
        rows["test"], rest = np.flatnonzero(origin == "test"), np.flatnonzero(origin == "train")
    if not draw_validation:
        rows["validation"] = np.flatnonzero(origin == "validation")
    # of what is left to train on, nothing that a given split tests on
    leaked = np.isin(groups[rest], groups[np.concatenate(list(rows.values()))])
    rest = rest[~leaked]
    if draw_validation:
        share = validation_share / (1 - test_share) if draw_test else validation_share
        rows["validation"], rest = draw_by_class(rest, labels, groups, share, generator, names)
    if train_fraction < 1:
        rest, _ = draw_by_class(rest, labels, groups, train_fraction, generator, names, part_all=False)
    rows["train"] = rest
    for name, chosen in rows.items():
        missing = [names[label] for label in range(len(names)) if not (labels[chosen] == label).any()]
        if missing and name == "train":
            raise ValueError(
                f"no image to train on is left for {', '.join(missing)}; leave the class out, or add images"
            )
        if missing:
            logger.warning("%s has no image of %s", name, ", ".join(missing))
    return {name: np.sort(chosen) for name, chosen in rows.items()}, int(leaked.sum())


def draw_by_class(
    rows: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    share: float,
    generator: np.random.Generator,
    names: list[str],
    part_all: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """About a share of the images of every class in whole groups, at least one group and never all, and the other images; rows, as `rows` are.

    A group belongs to the class of most of its images.

    Args:
        rows: to draw from.
        labels, groups: `(images,)`, of all images.
        share: above 0 and below 1.
        generator: of the draw.
        names: of the classes.
        part_all: whether a class of a single group is an error; it is drawn else.

    Raises:
        ValueError: naming a class of a single group.
    """
    drawn, by_class = [], {}
    for members in members_of(groups[rows]):
        each = rows[members]
        by_class.setdefault(int(np.bincount(labels[each]).argmax()), []).append(each)
    for label, parts in sorted(by_class.items()):
        if len(parts) < 2 and part_all:
            raise ValueError(
                f"the class {names[label]!r} has too few images to draw splits from: {sum(map(len, parts))} are left, all "
                "duplicates of each other or one alone. Training, validation and test need one each: add images, or leave the "
                "class out"
            )
        wanted, taken = share * sum(map(len, parts)), 0
        left = len(parts)
        for place in generator.permutation(len(parts)):
            if taken and (taken >= wanted or left == 1):
                break
            if taken and taken + len(parts[place]) / 2 > wanted:
                continue  # a group too large, and smaller ones may follow
            drawn.append(parts[place])
            taken, left = taken + len(parts[place]), left - 1
    drawn = np.concatenate(drawn)
    return drawn, np.setdiff1d(rows, drawn)


def repeat_rare_classes(split: Dataset) -> Dataset:
    """Rows of every class repeated until it has as many as the commonest."""
    labels = np.asarray(split["label"])
    most = np.bincount(labels).max()
    return split.select(
        np.concatenate([np.resize(np.flatnonzero(labels == label), most) for label in np.unique(labels)])
    )


# -- what a model sees -----------------------------------------------------------------------------
def check_seen(processor: BaseImageProcessor) -> None:
    """Raises a `ValueError` where a backbone wants images larger than those that are kept."""
    config = processor.data_config
    side = config["input_size"][-1] / config["crop_pct"]
    if side > MOST_SIDE:
        raise ValueError(
            f"images are kept at {MOST_SIDE} pixels, and this backbone wants {side:.0f}; give --image_size"
        )


def as_seen(split: Dataset, processor: BaseImageProcessor) -> Dataset:
    """Rows of `pixel_values` as the pipeline would make them (of an image of at most `MOST_SIDE` pixels), `labels` and `index`."""

    def transform(rows: dict[str, list]) -> dict[str, list]:
        images = [to_pil(dict(zip(rows, values))) for values in zip(*rows.values())]
        return {
            "pixel_values": list(processor(images)["pixel_values"]),
            "labels": rows["label"],
            "index": rows["index"],
        }

    return split.with_transform(transform)


def as_pictures(split: Dataset) -> Dataset:
    """Rows of PIL `images` to augment, `labels` and `index`."""

    def transform(rows: dict[str, list]) -> dict[str, list]:
        return {
            "images": [to_pil(dict(zip(rows, values))) for values in zip(*rows.values())],
            "labels": rows["label"],
            "index": rows["index"],
        }

    return split.with_transform(transform)


def as_features(split: Dataset) -> Dataset:
    """Rows of `features` (see `compute_split_features`), `labels` and `index`."""
    return split.select_columns(["features", "label", "index"]).rename_column("label", "labels").with_format("torch")


def collate(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Numbers and tensors stacked, pictures in a list."""
    batch = {name: [row[name] for row in rows] for name in rows[0]}
    return {
        name: values
        if name == "images"
        else torch.stack(values)
        if torch.is_tensor(values[0])
        else torch.tensor(values)
        for name, values in batch.items()
    }
