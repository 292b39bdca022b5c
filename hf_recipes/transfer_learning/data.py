"""Small sets of images with their classes: load them, decode each once, and draw splits that part no duplicates."""

import hashlib
import logging
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import imagehash
import numpy as np
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, Value, concatenate_datasets
from PIL import Image as PILImage

from ..images import name_row, open_image, to_rgb
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
from .draws import draw_splits
from .duplicates import describe_duplicates, group_duplicates

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
    return name_row(index, name, split.cast_column(image_column, Image(decode=False))[index][image_column])


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
            what = f"{name_row(index, split_name, cell)}: cannot read the image: {error}"
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
