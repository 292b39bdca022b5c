"""What a model sees of decoded images."""

from typing import Any

import torch
from datasets import Dataset
from PIL import Image as PILImage
from transformers import BaseImageProcessor

from .data import MOST_SIDE


def to_pil(row: dict[str, Any]) -> PILImage.Image:
    """The image of a row of `DECODED`."""
    return PILImage.frombytes("RGB", (row["width"], row["height"]), row["pixels"])


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
