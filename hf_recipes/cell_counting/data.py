"""Cell images with their annotations: load, check, and turn into arrays and density maps."""

import logging
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset, DatasetDict, Features, Image, List, Value
from PIL import Image as PILImage

from ..images import name_row, open_image
from ..loading import code_digest
from .augmentation import resize
from .density import as_points, dots_to_points, mask_to_density, outside_points, points_to_density
from .image_processing_cell_counter import CellCounterImageProcessor
from .sources import draw_splits, find_columns, hold_out, load_splits

logger = logging.getLogger(__name__)

# images and densities as raw memory: decoded once, kept by Arrow, and read without a detour through Python numbers
DECODED = Features(
    {
        "name": Value("string"),
        "pixels": Value("binary"),  # of (height, width, channels)
        "dtype": Value("string"),
        "shape": List(Value("int32")),
        "density": Value("binary"),  # float32 of (height, width)
        "count": Value("float64"),
    }
)


def load_cells(
    dataset: str,
    processor: CellCounterImageProcessor,
    *,
    config: str | None = None,
    revision: str | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    label_kind: str | None = None,
    reference_column: str | None = None,
    sigma: float = 2.0,
    image_size: tuple[int, int] | None = None,
    train_size: int | None = None,
    validation_size: int | None = None,
    test_size: int | None = None,
    test_names: str | None = None,
    drop_outside_points: bool = False,
    seed: int = 0,
) -> DatasetDict:
    """Splits `train`, `validation` and `test` with the columns `DECODED`; what comes from the Hub or from a folder that `load_dataset` reads is
    decoded once and cached by `datasets`.

    Args:
        dataset: a Hub id; a folder that `load_dataset` reads; a folder of pairs such as `001cell.png` and
            `001dots.png` (or `mask`, `density`), or of folders `train` and `test` of them; or `synthetic`.
        processor: says how many channels an image gets.
        config, revision: of a data set on the Hub: which of several it holds, and its branch, tag or commit.
        image_column, label_column, label_kind: found by name where None; see `LABEL_KINDS`. `points` are lists of
            [x, y] in pixels; `dots`, `mask`, `binary`, `instances` and `density` are images or nested lists of the image's
            size.
        reference_column: what validation and test are measured against, where it is not `label_column`.
        sigma: of the Gaussian around each cell, in pixels of the original image.
        image_size: (height, width) to resize every image to; the density keeps its mass.
        train_size, validation_size: examples drawn by `seed` from the training split, all the rest and a fifth by
            default. A validation split that the data set brings is used only when `validation_size` is None.
        test_size: draw the test split by `seed` from all splits together instead of using the data set's own.
        test_names: a regular expression: the images of all splits whose file name it finds are the test, those of a slide or
            a patient for instance, which say more of new ones than images drawn at random.
        drop_outside_points: drop points outside their image with a warning instead of failing.
        seed: of the draws.

    Raises:
        FileNotFoundError, ValueError: naming the folder, column, row or file, and what to do.
    """
    splits = load_splits(dataset, config, revision)
    image_column, label_column, label_kind = find_columns(splits, image_column, label_column, label_kind)
    if test_names is not None:
        if test_size is not None:
            raise ValueError("--test_size and --test_names both say which images are the test; give one of them")
        splits = hold_out(splits, test_names, image_column)
    splits = draw_splits(splits, train_size, validation_size, test_size, seed)
    reference, reference_kind = label_column, label_kind
    if reference_column is not None:
        _, reference, reference_kind = find_columns(splits, image_column, reference_column, None)
    decode = partial(
        decode_row,
        image_column=image_column,
        processor=processor,
        sigma=sigma,
        image_size=image_size,
        drop_outside_points=drop_outside_points,
        code=code_digest(Path(__file__).parent),
    )
    for name, split in splits.items():
        column, kind = (label_column, label_kind) if name == "train" else (reference, reference_kind)
        for each in (image_column, column):
            if isinstance(split.features[each], Image):  # left undecoded, so that a broken file can be named
                split = split.cast_column(each, Image(decode=False))
        splits[name] = split.map(
            partial(decode, split_name=name, label_column=column, label_kind=kind),
            with_indices=True,
            remove_columns=split.column_names,
            features=DECODED,
            writer_batch_size=64,  # raw images are large: few at a time in memory
            desc=f"Decoding {name}",
        )
    return splits


def decode_row(
    row: dict[str, Any],
    index: int,
    *,
    split_name: str,
    image_column: str,
    label_column: str,
    label_kind: str,
    processor: CellCounterImageProcessor,
    sigma: float,
    image_size: tuple[int, int] | None,
    drop_outside_points: bool,
    code: str = "",
) -> dict[str, Any]:
    """One row of `DECODED`. `code` does nothing here: it is for the fingerprint of the cache."""
    cell = row[image_column]
    file = row.get("name") or (cell.get("path") if isinstance(cell, dict) else None)
    where = name_row(index, split_name, {"path": file})
    try:
        array = processor.to_array(open_image(cell))
        processor.check_range(array)
    except (OSError, ValueError, SyntaxError, PILImage.DecompressionBombError) as error:
        raise ValueError(f"{where}: cannot read the image: {error}") from error
    try:
        density = make_density(row[label_column], label_kind, array.shape[:2], sigma, drop_outside_points, where)
    except (OSError, ValueError, SyntaxError, TypeError, PILImage.DecompressionBombError) as error:
        raise ValueError(f"{where}: column {label_column!r} ({label_kind}): {error}") from error
    if image_size is not None:
        array, density = resize_example(array, density, tuple(image_size))
    return {
        "name": Path(str(file)).name if file else str(index),  # cards show it, and no folder of this machine
        "pixels": np.ascontiguousarray(array).tobytes(),
        "dtype": str(array.dtype),
        "shape": list(array.shape),
        "density": density.tobytes(),
        "count": float(density.sum(dtype=np.float64)),
    }


def make_density(
    label: Any, kind: str, shape: tuple[int, int], sigma: float, drop_outside_points: bool, where: str
) -> np.ndarray:
    """float32 `(height, width)`, cells per pixel."""
    if kind == "points":
        points = to_points(label)
        outside = outside_points(points, shape)
        if outside.any() and drop_outside_points:
            logger.warning("%s: dropped %d points outside the image", where, outside.sum())
            points = points[~outside]
        elif outside.any():
            x, y = points[outside][0]
            raise ValueError(
                f"{outside.sum()} points lie outside the image of {shape[1]} x {shape[0]} pixels (width x height), "
                f"the first at x={x:g}, y={y:g}; mend them, or drop them with --drop_outside_points"
            )
        return points_to_density(points, shape, sigma)
    array = read_annotation(label, kind)
    if array.shape[:2] != tuple(shape):
        raise ValueError(f"it has {array.shape[:2]} (height, width) and its image {tuple(shape)}; they must agree")
    if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
        raise ValueError("it holds NaN or infinite values")
    if kind == "dots":
        return points_to_density(dots_to_points(array), shape, sigma)
    if kind == "density":
        if (array < 0).any():
            raise ValueError("a density map has no value below 0")
        return array.astype(np.float32)
    return mask_to_density(array, kind, sigma)


def to_points(label: Any) -> np.ndarray:
    """Pairs [x, y], records {"x", "y"}, or {"x": [...], "y": [...]} to `(cells, 2)`."""
    try:
        if isinstance(label, dict):
            label = list(zip(label["x"], label["y"], strict=True))
        elif label and isinstance(label[0], dict):
            label = [(point["x"], point["y"]) for point in label]
    except KeyError as error:
        raise ValueError(f"a point has no {error}; points are pairs [x, y] or records of x and y") from error
    return as_points(label)


def read_annotation(label: Any, kind: str) -> np.ndarray:
    """An image or array of annotation to `(height, width)`.

    What is transparent is background. Of colours, every one is an instance of its own where the kind has instances, and
    any is a dot or foreground where it has not. An image with a palette is read by its indices where they may number
    instances, and by its colours where not.

    Raises:
        ValueError: for JPEG, whose blur makes values that nobody annotated, and for arrays of other shapes.
    """
    image, numbered = open_image(label), kind in ("mask", "instances")
    if isinstance(image, PILImage.Image):
        if image.format == "JPEG":
            raise ValueError("it is a JPEG, which blurs the values of an annotation; make it again as PNG or TIFF")
        if image.has_transparency_data:
            image = image.convert("RGBA")
            black = PILImage.new("RGBA", image.size, (0, 0, 0, 255))
            image = PILImage.alpha_composite(black, image).convert("RGB")
        elif image.mode == "P" and not numbered:
            image = image.convert("RGB")
    array = np.asarray(image)
    if array.ndim == 3 and kind != "density" and array.shape[-1] in (1, 3):
        if numbered and array.shape[-1] == 3:
            return array.astype(np.int64) @ [1, 1 << 16, 1 << 32]  # one number a colour, 0 for black
        return array.max(-1)
    if array.ndim != 2:
        raise ValueError(f"it has the shape {array.shape}; an annotation of this kind is (height, width)")
    return array


def check_one_size(splits: DatasetDict) -> None:
    """For networks that take one size of image only: all images of all splits have it.

    Raises:
        ValueError: naming the first image of another size.
    """
    expected = splits["train"][0]["shape"]
    for name, split in splits.items():
        for row, shape in enumerate(split["shape"]):
            if shape != expected:
                raise ValueError(
                    f"row {row} of {name} ({split[row]['name']}) has {shape[0]} x {shape[1]} pixels (height x width), and others "
                    f"{expected[0]} x {expected[1]}; a regressor needs one size: give --image_size HEIGHT WIDTH, or train a unet"
                )


def resize_example(array: np.ndarray, density: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Image `(height, width, channels)` and density `(height, width)` to (height, width), the count kept."""
    image = torch.from_numpy(array.astype(np.float32)).movedim(-1, 0)[None]
    image, mass = resize(image, torch.from_numpy(density)[None, None], size)
    image = image[0].movedim(0, -1).numpy()
    if np.issubdtype(array.dtype, np.integer):
        image = np.rint(image.clip(0, np.iinfo(array.dtype).max))
    return image.astype(array.dtype), mass[0, 0].numpy()


def decode_array(row: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Image `(height, width, channels)` and density `(height, width)` of a row of `DECODED`, without a copy."""
    shape = tuple(row["shape"])
    pixels = np.frombuffer(row["pixels"], row["dtype"]).reshape(shape)
    return pixels, np.frombuffer(row["density"], np.float32).reshape(shape[:2])


def measure_normalization(dataset: Dataset, processor: CellCounterImageProcessor) -> None:
    """Set the processor's `image_mean` and `image_std` to those of a data set, in units of 0..1.

    A channel that is all but constant gets the largest of the standard deviations, so that its noise is not blown up.
    """
    processor.image_mean, processor.image_std = [0.0] * processor.num_channels, [1.0] * processor.num_channels
    sums, squares, pixels = 0.0, 0.0, 0
    for row in dataset:
        values = processor.normalize_array(decode_array(row)[0]).double()
        sums, squares = sums + values.sum((1, 2)), squares + values.square().sum((1, 2))
        pixels += values[0].numel()
    mean = sums / pixels
    std = (squares / pixels - mean.square()).clamp(min=0).sqrt()
    std = torch.where(std < 0.05 * std.max(), std.max(), std).clamp(min=1e-3)
    processor.image_mean, processor.image_std = mean.tolist(), std.tolist()


class CellCollator:
    """Rows of `DECODED` to `pixel_values` `(batch, channels, height, width)` and `labels` `(batch, height, width)`.

    Images of different sizes are padded at the bottom and the right, with a `pixel_mask`.
    """

    def __init__(self, processor: CellCounterImageProcessor):
        self.processor = processor

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        examples = [decode_array(row) for row in rows]
        if len({(pixels.shape, pixels.dtype) for pixels, _ in examples}) == 1 and self.processor.intensity == "type":
            pixel_values = self.processor.normalize_array(np.stack([pixels for pixels, _ in examples]))
            labels = torch.from_numpy(np.stack([density for _, density in examples]))
            return {"pixel_values": pixel_values, "labels": labels}
        batch = dict(self.processor([pixels for pixels, _ in examples]))
        batch["labels"] = torch.zeros(len(rows), *batch["pixel_values"].shape[-2:])
        for row, (_, density) in enumerate(examples):
            batch["labels"][row, : density.shape[0], : density.shape[1]] = torch.from_numpy(density.copy())
        return batch
