"""Images with their classes: load, check, decode once into raw bytes, and draw splits."""

from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, Value, concatenate_datasets
from PIL import Image as PILImage
from transformers import BaseImageProcessor, ViTImageProcessor

from ..images import name_row, open_image, to_rgb
from ..loading import (
    check_shares,
    choose_splits,
    code_digest,
    decode_images,
    encode_labels,
    find_column,
    load_splits,
)

# as cell counting does: raw memory, decoded once, kept by Arrow and read without a detour through Python numbers
DECODED = Features({"pixels": Value("binary"), "label": Value("int64"), "index": Value("int64")})


class LoadedImages(NamedTuple):
    """Decoded splits `train`, `validation` and `test`, each with the columns `DECODED`; `index` is the row in the data set.
    There is no `validation` where its images train.

    Args:
        splits: by name.
        names: of the classes.
        image_format: of the images' files, such as "PNG" or "JPEG (quality 75)"; None where they are no files.
        tested_on: what the test split is where the data set has none of its own, else None.
    """

    splits: DatasetDict
    names: list[str]
    image_format: str | None
    tested_on: str | None


def make_processor(image_size: int) -> ViTImageProcessor:
    """The processor that travels with the model: RGB, resized, normalised; `measure_normalization` sets the means."""
    return ViTImageProcessor(size={"height": image_size, "width": image_size}, do_convert_rgb=True)


def load_images(
    dataset: str,
    processor: BaseImageProcessor,
    *,
    config: str | None = None,
    revision: str | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    validation_share: float = 0.1,
    test_share: float = 0.2,
    train_fraction: float = 1.0,
    train_on_validation: bool = False,
    seed: int = 0,
) -> LoadedImages:
    """Images of any data set that has a column of images and one of classes.

    Args:
        dataset: a Hub id, or a folder that `load_dataset` reads (a folder of class folders, for one).
        processor: resizes the images.
        config, revision: of a data set on the Hub: which of several it holds, and its branch, tag or commit.
        image_column, label_column: found by type where None: the only column of images, the only `ClassLabel`.
        validation_share: of the training images of every class, drawn by `seed` to validate, unless the data set has a
            validation split beside its test split.
        test_share: of the training images of every class, drawn by `seed` to test, where the data set has neither a test
            split with labels nor a validation split that can be the test.
        train_fraction: share of the other images of every class that train, one at least.
        train_on_validation: the validation images train as well.
        seed: of the draws.

    Raises:
        FileNotFoundError, ValueError: naming the column, split or row, and what to do.
    """
    check_shares(validation_share, test_share, train_fraction)
    splits = load_splits(dataset, config, revision)
    if "train" not in splits:
        raise ValueError(f"{dataset} has the splits {', '.join(splits)}; 'train' is needed")
    image_column = find_column(splits["train"], Image, image_column, "--image_column")
    label_column = find_column(splits["train"], ClassLabel, label_column, "--label_column")
    splits, tested_on = choose_splits(splits, label_column)
    splits, names = encode_labels(splits, label_column)
    image_format = find_format(splits["train"], image_column)
    splits = DatasetDict(
        {name: decode_split(split, name, image_column, label_column, processor) for name, split in splits.items()}
    )
    generator = np.random.default_rng(seed)
    if "test" not in splits:
        tested_on = f"{test_share:.0%} of the images, drawn by the seed"
        splits["test"], splits["train"] = draw_by_class(splits["train"], test_share, generator)
    if "validation" not in splits:
        splits["validation"], splits["train"] = draw_by_class(splits["train"], validation_share, generator)
    if train_fraction < 1:
        splits["train"], _ = draw_by_class(splits["train"], train_fraction, generator, least=1)
    for name, split in splits.items():
        if not len(split):
            raise ValueError(f"no image is left for {name}: {dataset} is too small for the shares that are asked for")
    if train_on_validation:
        splits["train"] = concatenate_datasets([splits["train"], splits.pop("validation")])
    return LoadedImages(splits, names, image_format, tested_on)


def find_format(split: Dataset, image_column: str) -> str | None:
    """Of the first image's file, such as "PNG" or "JPEG (quality 75)"; None where the column holds no files."""
    cell = split.cast_column(image_column, Image(decode=False))[0][image_column]
    try:
        image = open_image(cell)
    except (OSError, ValueError, SyntaxError):
        return None  # decoding says what is wrong with it
    name = getattr(image, "format", None)
    quality = jpeg_quality(image) if name == "JPEG" else None
    return f"{name} (quality {quality})" if quality else name


def jpeg_quality(image: PILImage.Image) -> int | None:
    """The quality at which Pillow, and libjpeg, write a file with an image's quantisation tables; None where there is none."""
    for quality in range(100, 0, -1):
        file = BytesIO()
        PILImage.new("RGB", (8, 8)).save(file, "JPEG", quality=quality)
        if PILImage.open(file).quantization == image.quantization:
            return quality
    return None


def decode_split(
    split: Dataset, name: str, image_column: str, label_column: str, processor: BaseImageProcessor
) -> Dataset:
    decode = partial(
        decode_batch,
        split_name=name,
        image_column=image_column,
        label_column=label_column,
        size=(processor.size["height"], processor.size["width"]),
        code=code_digest(Path(__file__).parent),
    )
    return decode_images(split, name, [image_column], DECODED, decode)


def draw_by_class(
    split: Dataset, share: float, generator: np.random.Generator, least: int = 0
) -> tuple[Dataset, Dataset]:
    """A share of the images of every class, rounded and at least `least`, and the others."""
    labels = np.asarray(split["label"])
    drawn = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        rows = generator.permutation(np.flatnonzero(labels == label))
        drawn[rows[: max(least, round(share * len(rows)))]] = True
    return split.select(np.flatnonzero(drawn)), split.select(np.flatnonzero(~drawn))


def decode_batch(
    rows: dict[str, list],
    indices: list[int],
    *,
    split_name: str,
    image_column: str,
    label_column: str,
    size: tuple[int, int],
    code: str = "",
) -> dict[str, list]:
    """Rows of `DECODED`. `code` does nothing here: it is for the fingerprint of the cache."""
    pixels = []
    for index, cell in zip(indices, rows[image_column]):
        try:
            pixels.append(decode_image(cell, size).tobytes())
        except (OSError, ValueError, SyntaxError) as error:
            raise ValueError(f"{name_row(index, split_name, cell)}: cannot read the image: {error}") from error
    return {"pixels": pixels, "label": rows[label_column], "index": indices}


def decode_image(cell: Any, size: tuple[int, int]) -> np.ndarray:
    """What an image column holds as uint8 `(height, width, 3)`."""
    image = to_rgb(open_image(cell))
    if image.size != (size[1], size[0]):
        image = image.resize((size[1], size[0]), PILImage.Resampling.BILINEAR)
    return np.asarray(image)


def measure_normalization(dataset: Dataset, processor: BaseImageProcessor) -> None:
    """Set the processor's `image_mean` and `image_std` to those of each channel of a data set, in units of 0..1."""
    sums, squares, count = np.zeros(3), np.zeros(3), 0
    for rows in dataset.iter(100):
        values = np.frombuffer(b"".join(rows["pixels"]), np.uint8).reshape(-1, 3) / 255.0
        sums, squares, count = sums + values.sum(0), squares + (values**2).sum(0), count + len(values)
    mean = sums / count
    processor.image_mean = mean.tolist()
    processor.image_std = np.sqrt(np.maximum(squares / count - mean**2, 1e-6)).tolist()


class ImageCollator:
    """Rows of `DECODED` to normalised `pixel_values` `(batch, 3, height, width)`, `labels` and `index` `(batch,)`."""

    def __init__(self, processor: BaseImageProcessor):
        self.shape = (-1, processor.size["height"], processor.size["width"], 3)
        std = torch.tensor(processor.image_std)
        self.scale, self.shift = 1 / (255 * std), -torch.tensor(processor.image_mean) / std

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        pixels = bytearray(b"".join(row["pixels"] for row in rows))
        images = torch.frombuffer(pixels, dtype=torch.uint8).view(self.shape)
        return {
            "pixel_values": (images * self.scale + self.shift).movedim(-1, 1),  # memory stays channels last
            "labels": torch.tensor([row["label"] for row in rows]),
            "index": torch.tensor([row["index"] for row in rows]),
        }
