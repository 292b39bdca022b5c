"""Images with their classes: load, check, split, and decode once into raw bytes."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, Value, concatenate_datasets, load_dataset
from PIL import Image as PILImage
from transformers import BaseImageProcessor, ViTImageProcessor

from ..images import code_digest, open_image

# as cell counting does: raw memory, decoded once, kept by Arrow and read without a detour through Python numbers
DECODED = Features({"pixels": Value("binary"), "label": Value("int64"), "index": Value("int64")})


def make_processor(image_size: int) -> ViTImageProcessor:
    """The processor that travels with the model: RGB, resized, normalised; `measure_normalization` sets the means."""
    return ViTImageProcessor(size={"height": image_size, "width": image_size}, do_convert_rgb=True)


def load_images(
    dataset: str,
    processor: BaseImageProcessor,
    *,
    image_column: str | None = None,
    label_column: str | None = None,
    validation_size: int = 5000,
    train_fraction: float = 1.0,
    seed: int = 0,
) -> tuple[DatasetDict, list[str], str]:
    """Splits `train`, `validation` and `test` with the columns `DECODED`, the names of the classes, and the format of the
    images' files ("PNG", "JPEG", ...).

    Args:
        dataset: a Hub id, or a folder that `load_dataset` reads (a folder of class folders, for one), with a split `test`.
        processor: resizes the images.
        image_column, label_column: found by type where None: the only column of images, the only `ClassLabel`.
        validation_size: images drawn from the training split by `seed`, the same share of every class.
        train_fraction: share of the other images of every class that train.
        seed: of the draws.

    Raises:
        FileNotFoundError, ValueError: naming the column, split or row, and what to do.
    """
    splits = load_splits(dataset)
    image_column = find_column(splits["train"], Image, image_column, "--image_column")
    label_column = find_column(splits["train"], ClassLabel, label_column, "--label_column")
    splits, names = encode_labels(splits, label_column)
    splits = draw_splits(splits, label_column, validation_size, train_fraction, seed)
    for name, split in splits.items():
        split = split.cast_column(image_column, Image(decode=False))  # so that a broken file can be named
        image_format = open_image(split[0][image_column]).format
        splits[name] = split.map(
            partial(
                decode_batch,
                split_name=name,
                image_column=image_column,
                label_column=label_column,
                size=(processor.size["height"], processor.size["width"]),
                code=code_digest(Path(__file__).parent),
            ),
            batched=True,
            with_indices=True,
            remove_columns=split.column_names,
            features=DECODED,
            desc=f"Decoding {name}",
        )
    return splits, names, image_format


def load_splits(dataset: str) -> DatasetDict:
    try:
        splits = load_dataset(dataset)
    except OSError as error:
        raise FileNotFoundError(
            f"{dataset!r} is neither a folder here nor a data set that the Hub gives out ({error})"
        ) from error
    if "test" not in splits and "validation" in splits:
        splits["test"] = splits.pop("validation")
    if not {"train", "test"} <= splits.keys():
        raise ValueError(f"{dataset} has the splits {', '.join(splits)}; 'train' and 'test' are needed")
    return DatasetDict(train=splits["train"], test=splits["test"])


def find_column(split: Dataset, kind: type, given: str | None, option: str) -> str:
    """The column of an option, or the only one of its type."""
    if given is not None:
        if given not in split.column_names:
            raise ValueError(f"the data set has no column {given!r}; it has {', '.join(split.column_names)}")
        return given
    found = [name for name, feature in split.features.items() if isinstance(feature, kind)]
    if len(found) != 1:
        columns = ", ".join(f"{name} ({type(feature).__name__})" for name, feature in split.features.items())
        raise ValueError(f"the data set has {len(found)} columns of {kind.__name__}: {columns}. Choose with {option}")
    return found[0]


def encode_labels(splits: DatasetDict, column: str) -> tuple[DatasetDict, list[str]]:
    """The label column as `ClassLabel`; its classes are those of the training split."""
    feature = splits["train"].features[column]
    if not isinstance(feature, ClassLabel):
        values = sorted(set(splits["train"][column]))
        feature = ClassLabel(names=[str(value) for value in values])
        number = {value: place for place, value in enumerate(values)}
        for name, split in splits.items():
            for row, value in enumerate(split[column]):
                if value not in number:
                    raise ValueError(f"row {row} of {name}: {column} is {value!r}, which no training image has")
            labels = Dataset.from_dict(
                {column: [number[value] for value in split[column]]}, features=Features({column: feature})
            )
            splits[name] = concatenate_datasets([split.remove_columns(column), labels], axis=1)
    for name, split in splits.items():
        labels = np.asarray(split[column])
        outside = np.flatnonzero((labels < 0) | (labels >= feature.num_classes))
        if len(outside):
            raise ValueError(
                f"row {outside[0]} of {name}: {column} is {labels[outside[0]]}, and the classes are numbered 0 to "
                f"{feature.num_classes - 1} ({len(outside)} such rows)"
            )
    return splits, feature.names


def draw_splits(
    splits: DatasetDict, label_column: str, validation_size: int, train_fraction: float, seed: int
) -> DatasetDict:
    """Validation drawn from the training split by class, and a share of what is left to train on."""
    if not 0 < train_fraction <= 1:
        raise ValueError(f"--train_fraction is {train_fraction}; it is a share above 0, at most 1")
    classes = splits["train"].features[label_column].num_classes
    most = len(splits["train"]) - classes
    if not classes <= validation_size <= most:
        raise ValueError(f"--validation_size is {validation_size}; with this data set it can be {classes} to {most}")
    parts = splits["train"].train_test_split(validation_size, stratify_by_column=label_column, seed=seed)
    train = parts["train"]
    if train_fraction < 1:
        size = max(classes, round(train_fraction * len(train)))
        train = train.train_test_split(train_size=size, stratify_by_column=label_column, seed=seed)["train"]
    return DatasetDict(train=train, validation=parts["test"], test=splits["test"])


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
            raise ValueError(f"row {index} of {split_name}: cannot read the image: {error}") from error
    return {"pixels": pixels, "label": rows[label_column], "index": indices}


def decode_image(cell: Any, size: tuple[int, int]) -> np.ndarray:
    """What an image column holds as uint8 `(height, width, 3)`."""
    image = open_image(cell).convert("RGB")
    if image.size != (size[1], size[0]):
        image = image.resize((size[1], size[0]), PILImage.Resampling.BILINEAR)
    return np.asarray(image)


def measure_normalization(dataset: Dataset, processor: BaseImageProcessor) -> None:
    """Set the processor's `image_mean` and `image_std` to those of each channel of a data set, in units of 0..1."""
    sums, squares, count = np.zeros(3), np.zeros(3), 0
    for rows in dataset.iter(1000):
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
