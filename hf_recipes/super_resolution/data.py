"""Large images and the small ones made of them: load and decode once; and the benchmarks as they are given."""

import logging
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from datasets import Dataset, DatasetDict, Features, Image, Value, concatenate_datasets
from PIL.Image import DecompressionBombError

from ..images import name_row, open_image, to_rgb
from ..loading import code_digest, decode_images, find_column, load_splits
from .metrics import least_side
from .resize import resize_bicubic

logger = logging.getLogger(__name__)

# raw memory, decoded once, kept by Arrow: `high` is uint8 (height, width, 3), `low` the same divided by the scale, `given` whether it
# came with the data or was made of `high`
DECODED = Features(
    {
        "high": Value("binary"),
        "low": Value("binary"),
        "height": Value("int32"),
        "width": Value("int32"),
        "index": Value("int64"),
        "source": Value("string"),
        "given": Value("bool"),
    }
)
SMALL_IMAGES = re.compile(r"(.*[-_])?LR([-_].*)?", re.IGNORECASE)  # names of their folders
BATCH = 8  # images decoded at once: large ones are some ten megabytes each


class LoadedImages(NamedTuple):
    """Decoded images.

    Args:
        splits: `train`, `validation` and `test`, each with the columns `DECODED`; `source` is the benchmark of a test image.
        tested_on: what the test is where it is not the data set's own test split, else None.
    """

    splits: DatasetDict
    tested_on: str | None


def load_images(
    dataset: str,
    scale: int,
    *,
    benchmarks: Sequence[str] = (),
    config: str | None = None,
    revision: str | None = None,
    image_column: str | None = None,
    validation_size: int = 20,
    patch_size: int = 96,
    seed: int = 0,
) -> LoadedImages:
    """Images of any data set with a column of images, and benchmarks.

    Small images are made by `resize_bicubic`, from images cut at the right and the bottom to a multiple of the scale; those of
    benchmarks are taken as they are given.

    Args:
        dataset: a Hub id, or a folder that `load_dataset` reads.
        scale: 2, 3 or 4.
        benchmarks: to test on, see `load_benchmark`; a name without a folder is looked up where the data set is. Without any, the data
            set's own test split, or as many of its images as validate.
        config, revision: of a data set on the Hub: which of several it holds, and its branch, tag or commit.
        image_column: found by type where None.
        validation_size: images drawn from the training split by `seed`, where the data set has no validation split.
        patch_size: training images must be as large.
        seed: of the draws.

    Raises:
        FileNotFoundError, ValueError: naming the data set, row and column, and what to do.
    """
    refuse_small_images(dataset)
    splits = load_splits(dataset, config, revision)
    if "train" not in splits:
        raise ValueError(f"{dataset} has the splits {', '.join(splits)}; 'train' is needed")
    image_column = find_column(splits["train"], Image, image_column, "--image_column")
    used = ["train", "validation"] if benchmarks else ["train", "validation", "test"]
    decoded = DatasetDict(
        {
            name: decode_split(splits[name], name, scale, image_column, least=patch_size if name == "train" else 0)
            for name in used
            if name in splits
        }
    )
    for name in used[1:]:
        if name not in decoded:
            if not 0 < validation_size < len(decoded["train"]):
                raise ValueError(
                    f"--validation_size is {validation_size}, and {len(decoded['train'])} training images are left; it is above 0 and "
                    "leaves some to train on"
                )
            drawn = decoded["train"].train_test_split(validation_size, seed=seed)
            decoded["train"], decoded[name] = drawn["train"], drawn["test"]
    if not benchmarks:
        drawn_too = None if "test" in splits else f"{validation_size} images, drawn by the seed"
        return LoadedImages(decoded, drawn_too)
    places = [place_benchmark(name, dataset) for name in benchmarks]
    names = [benchmark_name(place) for place in places]
    if len(set(names)) < len(names):
        raise ValueError(f"--benchmarks are called {', '.join(names)}; two of one name cannot be told apart")
    decoded["test"] = concatenate_datasets([load_benchmark(place, scale) for place in places])
    return LoadedImages(decoded, ", ".join(dict.fromkeys(decoded["test"]["source"])))


def place_benchmark(name: str, dataset: str) -> str:
    """A bare name lies beside the data set: `set5` with `me/photos` is `me/set5`, with the folder `data/photos` it is `data/set5`."""
    if "/" in name or Path(name).is_dir():
        return name
    return str(Path(dataset).parent / name)


def benchmark_name(place: str) -> str:
    return place.rstrip("/").split("/")[-1].lower()


def decode_split(
    split: Dataset,
    name: str,
    scale: int,
    high_column: str,
    low_column: str | None = None,
    *,
    least: int = 0,
    source: str = "",
) -> Dataset:
    decode = partial(
        decode_batch,
        split_name=name,
        scale=scale,
        high_column=high_column,
        low_column=low_column,
        least=least,
        source=source,
        code=code_digest(Path(__file__).parent),
    )
    return decode_images(split, name, [high_column, *([low_column] if low_column else [])], DECODED, decode, BATCH)


def load_benchmark(dataset: str, scale: int) -> Dataset:
    """The images of a benchmark: the split `test`, or the only one.

    Its large images are the column `hr_x{scale}`, `hr`, or the only column of images; its small ones `lr_x{scale}`, `lr`, or made of the
    large ones where there is none.

    Raises:
        FileNotFoundError, ValueError: naming the benchmark, its columns or the row.
    """
    try:
        refuse_small_images(dataset)
        splits = load_splits(dataset)
    except (FileNotFoundError, ValueError) as error:
        kind = FileNotFoundError if isinstance(error, FileNotFoundError) else ValueError
        raise kind(f"--benchmarks {dataset}: {error}; give none with --benchmarks none") from error
    if "test" not in splits and len(splits) > 1:
        raise ValueError(f"--benchmarks {dataset} has the splits {', '.join(splits)}; 'test' is needed")
    split = splits["test"] if "test" in splits else next(iter(splits.values()))
    high = next((name for name in (f"hr_x{scale}", "hr") if name in split.column_names), None)
    low = next((name for name in (f"lr_x{scale}", "lr") if name in split.column_names), None)
    images = [each for each, feature in split.features.items() if isinstance(feature, Image)]
    if high is None and len(images) != 1:
        raise ValueError(
            f"--benchmarks {dataset} has no column hr_x{scale} or hr; it has {', '.join(split.column_names)}"
        )
    high = high or images[0]
    name = benchmark_name(dataset)
    return decode_split(split, name, scale, high, low, source=name)


def refuse_small_images(dataset: str) -> None:
    """Raises a `ValueError` where a folder has one for small images, as DIV2K's archives do, which would pass for large ones."""
    for path in sorted(Path(dataset).rglob("*")) if Path(dataset).is_dir() else ():
        if path.is_dir() and SMALL_IMAGES.fullmatch(path.name):
            raise ValueError(
                f"{path} looks like a folder of small images, which would be taken for large ones; leave them out of {dataset}, small ones are "
                "made. To test on small images as they are given, give a data set with columns hr and lr"
            )


def decode_batch(
    rows: dict[str, list],
    indices: list[int],
    *,
    split_name: str,
    scale: int,
    high_column: str,
    low_column: str | None,
    least: int,
    source: str,
    code: str = "",
) -> dict[str, list]:
    """Rows of `DECODED`. `code` does nothing here: it is for the fingerprint of the cache."""
    decoded: dict[str, list] = {name: [] for name in DECODED}
    for place, index in enumerate(indices):
        where = name_row(index, split_name, rows[high_column][place])
        high = read_image(rows[high_column][place], where)
        height, width = (side - side % scale for side in high.shape[:2])
        size = f"{where}: the image is {high.shape[1]} x {high.shape[0]} pixels"
        if min(height, width) < least:
            raise ValueError(f"{size}, smaller than a patch of {least}; leave it out, or lower --patch_size")
        if min(height, width) < least_side(scale):
            raise ValueError(f"{size}, too small to judge, which takes {least_side(scale)}; leave it out")
        high = np.ascontiguousarray(high[:height, :width])
        if low_column is None:
            low = resize_bicubic(high, 1 / scale)
        else:
            low = read_image(rows[low_column][place], where)
            if low.shape != (height // scale, width // scale, 3):
                raise ValueError(
                    f"{where}: {low_column} is {low.shape[1]} x {low.shape[0]} pixels, and {high_column} {width} x {height}: not "
                    f"{scale} times as large"
                )
        decoded["high"].append(high.tobytes())
        decoded["low"].append(low.tobytes())
        decoded["height"].append(height)
        decoded["width"].append(width)
        decoded["index"].append(index)
        decoded["source"].append(source)
        decoded["given"].append(low_column is not None)
    return decoded


def read_image(cell: Any, where: str) -> np.ndarray:
    """uint8 `(height, width, 3)`; gray, palette and CMYK become RGB, an alpha channel is dropped."""
    try:
        image = open_image(cell)
        if isinstance(image, np.ndarray):
            raise ValueError("the column holds numbers and no images")
        return np.asarray(to_rgb(image))
    except (OSError, ValueError, SyntaxError, DecompressionBombError) as error:
        raise ValueError(f"{where}: cannot read the image: {error}") from error


def to_arrays(row: dict[str, Any], scale: int) -> tuple[np.ndarray, np.ndarray]:
    """The small and the large image of a row of `DECODED`, uint8 `(height, width, 3)`."""
    height, width = row["height"], row["width"]
    low = np.frombuffer(row["low"], np.uint8).reshape(height // scale, width // scale, 3)
    return low, np.frombuffer(row["high"], np.uint8).reshape(height, width, 3)


# -- what a model sees -----------------------------------------------------------------------------
def to_tensor(image: np.ndarray) -> torch.Tensor:
    """uint8 `(height, width, 3)` as float32 `(3, height, width)`, 0..1; its memory stays channels last."""
    return torch.from_numpy(image.astype(np.float32) / 255).movedim(-1, 0)


def as_pairs(split: Dataset, scale: int, sources: list[str]) -> Dataset:
    """Rows of whole images: `pixel_values` `(3, height, width)`, `labels` `scale` times as large, both 0..1, and the number of their
    `source`."""

    def transform(rows: dict[str, list]) -> dict[str, list]:
        pairs = [to_arrays(dict(zip(rows, values)), scale) for values in zip(*rows.values())]
        return {
            "pixel_values": [to_tensor(low) for low, _ in pairs],
            "labels": [to_tensor(high) for _, high in pairs],
            "source": [sources.index(source) for source in rows["source"]],
        }

    return split.with_transform(transform)


def as_arrays(split: Dataset, scale: int) -> Dataset:
    """Rows of `low` and `high`, uint8 tensors `(height, width, 3)`, to cut patches from."""

    def transform(rows: dict[str, list]) -> dict[str, list]:
        pairs = [to_arrays(dict(zip(rows, values)), scale) for values in zip(*rows.values())]
        return {name: [torch.tensor(pair[side]) for pair in pairs] for side, name in enumerate(("low", "high"))}

    return split.with_transform(transform)


def collate(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Whole images stacked, images to cut patches from in a list."""
    batch = {name: [row[name] for row in rows] for name in rows[0]}
    if "high" in batch:
        return batch
    return {
        "pixel_values": torch.stack(batch["pixel_values"]),
        "labels": torch.stack(batch["labels"]),
        "source": torch.tensor(batch["source"]),
    }


def check_batch_size(splits: DatasetDict, batch_size: int) -> None:
    """Raises a `ValueError` where images of a batch to validate or test with differ in size."""
    for name in ("validation", "test"):
        sizes = set(zip(splits[name]["height"], splits[name]["width"]))
        if batch_size > 1 and len(sizes) > 1:
            raise ValueError(f"the images of {name} differ in size; give --per_device_eval_batch_size 1")
