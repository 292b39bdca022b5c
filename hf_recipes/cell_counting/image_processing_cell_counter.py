"""Images of microscopes to tensors. This file travels to the Hub with the weights."""

from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers.image_processing_base import BatchFeature
from transformers.image_processing_utils import BaseImageProcessor

LUMINANCE = np.array([0.299, 0.587, 0.114])  # ITU-R 601, as PIL converts RGB to gray
GRAY_ROWS = 256  # made gray at once: as floats, rows of a large image are many times its memory


class CellCounterImageProcessor(BaseImageProcessor):
    """Turns 8-bit, 16-bit and float images, gray, RGB, RGBA or with a palette, into normalised tensors.

    The steps, all stored with the model: an alpha channel is dropped and a palette looked up; gray is repeated to three
    channels, or colour reduced to ITU-R 601 luminance, as `num_channels` asks; intensities are brought to 0..1 by
    `intensity`; then `(x - image_mean) / image_std` per channel.

    Args:
        num_channels (`int`): channels that the model takes, 1 or 3.
        intensity (`str`): `"type"` divides integers by the largest value of their type (255, 65535) and takes floats as
            they are, which must lie in 0..1; `"image"` maps each image's own darkest and brightest 0.1 % to 0 and 1, for
            cameras that use a part of their range.
        image_mean, image_std (`list[float]`): per channel, in units of 0..1. Recipes measure them on the training split.
    """

    model_input_names = ["pixel_values", "pixel_mask"]

    def __init__(
        self,
        num_channels: int = 3,
        intensity: str = "type",
        image_mean: list[float] | None = None,
        image_std: list[float] | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if num_channels not in (1, 3) or intensity not in ("type", "image"):
            raise ValueError(
                f"num_channels is 1 or 3 and intensity 'type' or 'image'; got {num_channels!r} and {intensity!r}"
            )
        self.num_channels, self.intensity = num_channels, intensity
        self.image_mean = list(image_mean) if image_mean is not None else [0.5] * num_channels
        self.image_std = list(image_std) if image_std is not None else [0.5] * num_channels

    def to_array(self, image: Any) -> np.ndarray:
        """A PIL image or array to `(height, width, num_channels)`, its type of number kept.

        Arrays are `(height, width)`, `(height, width, channels)` or `(channels, height, width)` of 1, 3 or 4 channels.

        Raises:
            ValueError: for other shapes and types of number, empty images, and NaN or infinite values.
        """
        if isinstance(image, Image.Image):
            # PIL has 16-bit ("I;16", or "I" of 32 bits), float ("F") and 8-bit images; only the last come in many modes
            if image.mode == "I" and image.getextrema()[0] >= 0 and image.getextrema()[1] < 2**16:
                image = np.asarray(image).astype(np.uint16)
            elif image.mode not in ("L", "RGB", "F") and not image.mode.startswith("I"):
                image = image.convert("RGB")
        array = image.numpy() if isinstance(image, torch.Tensor) else np.asarray(image)
        array = array.astype(array.dtype.newbyteorder("="), copy=False)  # ImageJ writes big-endian TIFF
        if array.dtype == bool:
            array = array.astype(np.uint8) * 255
        if array.dtype not in (np.uint8, np.uint16, np.float16, np.float32, np.float64):
            raise ValueError(
                f"an image is uint8, uint16 or float; got {array.dtype}, whose range says nothing; convert it"
            )
        if array.ndim == 3 and array.shape[-1] not in (1, 3, 4) and array.shape[0] in (1, 3, 4):
            array = np.moveaxis(array, 0, -1)
        if array.ndim == 2:
            array = array[..., None]
        if array.ndim != 3 or array.shape[-1] not in (1, 3, 4) or 0 in array.shape:
            raise ValueError(f"an image is (height, width) with 1, 3 or 4 channels; got an array of {array.shape}")
        if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
            raise ValueError("the image holds NaN or infinite values; mend or mask them before counting")
        array = array[..., :3]
        if array.shape[-1] == self.num_channels:
            return array
        if self.num_channels == 3:
            return np.repeat(array, 3, axis=-1)
        gray = np.empty(array.shape[:2], array.dtype)
        for top in range(0, len(array), GRAY_ROWS):
            rows = array[top : top + GRAY_ROWS] @ LUMINANCE
            gray[top : top + GRAY_ROWS] = rows if np.issubdtype(array.dtype, np.floating) else np.rint(rows)
        return gray[..., None]

    def intensity_range(self, array: np.ndarray) -> tuple[float, float]:
        """The values that become 0 and 1, for the whole image `(height, width, channels)` even if it is tiled later.

        Raises:
            ValueError: with `intensity="type"`, for float images outside 0..1.
        """
        if self.intensity == "image":
            step = max(1, int((array.size / 1e7) ** 0.5))  # ten million values are enough for a quantile
            low, high = np.quantile(array[::step, ::step], [0.001, 0.999])
            return float(low), float(high if high > low else low + 1)
        self.check_range(array)
        return 0.0, 1.0 if np.issubdtype(array.dtype, np.floating) else float(np.iinfo(array.dtype).max)

    def check_range(self, array: np.ndarray) -> None:
        """Raises a `ValueError` with `intensity="type"`, for float images outside 0..1."""
        if self.intensity == "image" or not np.issubdtype(array.dtype, np.floating):
            return
        if array.min() < 0 or array.max() > 1:
            raise ValueError(
                f"float images are read as 0..1 and this one reaches from {array.min():.4g} to {array.max():.4g}; "
                "rescale it, or use intensity='image' (--intensity image in a recipe), which takes each image's own range"
            )

    def normalize_array(self, array: np.ndarray, intensity_range: tuple[float, float] | None = None) -> torch.Tensor:
        """`(..., height, width, channels)` to the model's float32 `(..., channels, height, width)`, channels last in
        memory, which is the fast layout of convolutions on CPUs."""
        low, high = self.intensity_range(array) if intensity_range is None else intensity_range
        mean, std = np.asarray(self.image_mean, np.float32), np.asarray(self.image_std, np.float32)
        scale = (1 / ((high - low) * std)).astype(np.float32)
        values = array * scale - (low * scale + mean / std).astype(np.float32)
        return torch.from_numpy(values.astype(np.float32, copy=False)).movedim(-1, -3)

    def preprocess(self, images: Any, return_tensors: str | None = "pt", **kwargs) -> BatchFeature:
        """One image or a list of images to `pixel_values` `(batch, channels, height, width)`.

        Images of different sizes are padded at the bottom and the right with the mean intensity; `pixel_mask`
        `(batch, height, width)` is 1 on the images, and [`CellCounter`] counts nothing elsewhere.

        Raises:
            ValueError: see `to_array` and `intensity_range`.
        """
        single = not isinstance(images, (list, tuple))
        tensors = [self.normalize_array(self.to_array(image)) for image in ([images] if single else images)]
        height, width = (max(tensor.shape[axis] for tensor in tensors) for axis in (-2, -1))
        data: dict[str, torch.Tensor] = {"pixel_values": torch.zeros(len(tensors), self.num_channels, height, width)}
        mask = torch.zeros(len(tensors), height, width)
        for row, tensor in enumerate(tensors):
            data["pixel_values"][row, :, : tensor.shape[-2], : tensor.shape[-1]] = tensor
            mask[row, : tensor.shape[-2], : tensor.shape[-1]] = 1
        if not mask.all():
            data["pixel_mask"] = mask
        return BatchFeature(data=data, tensor_type=return_tensors)

    def __call__(self, images: Any, **kwargs) -> BatchFeature:
        return self.preprocess(images, **kwargs)


CellCounterImageProcessor.register_for_auto_class()
