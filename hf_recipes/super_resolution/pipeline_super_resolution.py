"""Making images larger in one call. This file travels to the Hub with the weights."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from huggingface_hub.utils import httpx
from PIL import Image, ImageOps
from transformers import Pipeline
from transformers.utils import logging

from .modeling_super_resolver import upsample_bicubic

logger = logging.get_logger(__name__)
MOST = {"uint8": 255, "uint16": 65535}  # of a channel, by type of number


class SuperResolutionPipeline(Pipeline):
    """Makes paths, URLs, PIL images, arrays, and lists or data sets of them larger (task `image-to-image`).

    ```python
    >>> upscale = pipeline("image-to-image", model="me/super-resolver", trust_remote_code=True)
    >>> upscale("small.png")
    <PIL.Image.Image image mode=RGB size=1024x768>
    ```

    The image is enlarged in tiles, each read with as many pixels around it as the network looks at, so that the result is that of
    the whole image and the memory grows with nothing but the image's pixels.

    Gray, 16-bit gray, alpha channels and colour profiles are kept; palettes become RGB, transparent colours an alpha channel (but for
    that of 16-bit gray, which is lost with a warning), other modes RGB. An alpha channel is interpolated (bicubic). Of 16-bit colour Pillow reads 8 bits: give it as an array. Arrays are uint8
    or uint16, `(height, width)` or with 1 to 4 channels, and give arrays of their kind.

    Args of a call:
        scale (`int`): what the result should be; an error where the weights are for another.
        tile_size (`int`): side of a tile in pixels of the small image, 256 by default; SRCNN's tiles are smaller.
        self_ensemble (`bool`): the mean over the image's four turns and their mirror images (Timofte et al. 2016); 8 times the work.
        timeout (`float`): seconds to wait for a URL.
    """

    _load_processor = False
    _load_image_processor = False
    _load_feature_extractor = False
    _load_tokenizer = False

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.model.eval()

    def _sanitize_parameters(
        self, scale=None, tile_size=None, self_ensemble=None, timeout=None
    ) -> tuple[dict, dict, dict]:
        trained = self.model.config.scale
        if scale is not None and scale != trained:
            raise ValueError(f"these weights make images {trained} times as large, and not {scale} times; load others")
        if tile_size is not None and tile_size < 1:
            raise ValueError(f"tile_size is {tile_size}; it is at least 1")
        forward = {"tile_size": tile_size, "self_ensemble": self_ensemble}
        return (
            {} if timeout is None else {"timeout": timeout},
            {key: value for key, value in forward.items() if value is not None},
            {},
        )

    def preprocess(self, image: Any, timeout: float | None = None) -> dict[str, Any]:
        name = str(image) if isinstance(image, (str, Path)) else type(image).__name__
        if isinstance(image, dict) and "image" in image:
            image = image["image"]
        try:
            if isinstance(image, (str, Path)):
                image = read_image(str(image), timeout)
            if not isinstance(image, Image.Image):
                return {"array": check_array(np.asarray(image))}
            plain = to_plain_mode(image)
            profile = image.info.get("icc_profile") if image.mode != "CMYK" else None
            return {"array": check_array(np.asarray(plain)), "mode": plain.mode, "icc_profile": profile}
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, httpx.HTTPError) as error:
            raise ValueError(f"cannot enlarge {name}: {error}") from error

    def _forward(
        self, model_inputs: dict, tile_size: int | None = None, self_ensemble: bool = False
    ) -> Image.Image | np.ndarray:
        """The enlarged image, made tile by tile in its own memory, so that there is never a second copy of it."""
        array, scale, reach = model_inputs["array"], self.model.config.scale, self.model.reach
        if tile_size is None:  # the features of SRCNN are as large as the result
            tile_size = 512 // scale if self.model.config.architecture == "srcnn" else 256
        height, width = array.shape[:2]
        if "mode" in model_inputs:
            enlarged = Image.new(model_inputs["mode"], (scale * width, scale * height))
            if model_inputs["icc_profile"]:
                enlarged.info["icc_profile"] = model_inputs["icc_profile"]
        else:
            enlarged = np.empty((scale * height, scale * width, *array.shape[2:]), array.dtype)
        for top in range(0, height, tile_size):
            for left in range(0, width, tile_size):
                above, before = max(top - reach, 0), max(left - reach, 0)
                part = array[above : top + tile_size + reach, before : left + tile_size + reach]
                tile = self.enlarge(part, self_ensemble)
                rows, columns = (
                    slice(scale * start, scale * min(start + tile_size, side))
                    for start, side in ((top, height), (left, width))
                )
                first, second = scale * (top - above), scale * (left - before)
                kept = tile[first : first + rows.stop - rows.start, second : second + columns.stop - columns.start]
                if isinstance(enlarged, Image.Image):
                    enlarged.paste(Image.fromarray(np.ascontiguousarray(kept)), (columns.start, rows.start))
                else:
                    enlarged[rows, columns] = kept
        return enlarged

    def enlarge(self, part: np.ndarray, self_ensemble: bool) -> np.ndarray:
        """A tile `(height, width)` or `(height, width, channels)` in its own type of number."""
        most = MOST[part.dtype.name]
        values = torch.from_numpy(part.reshape(*part.shape[:2], -1).astype(np.float32) / most).movedim(-1, 0)[None]
        values = values.to(self.device, self.model.dtype)
        colours = 1 if values.shape[1] < 3 else 3  # 2 and 4 channels have alpha as their last
        image = self.predict(values[:, :colours].expand(-1, 3, -1, -1), self_ensemble)
        parts = [image if colours == 3 else image.mean(1, keepdim=True)]
        if values.shape[1] > colours:
            parts.append(upsample_bicubic(values[:, colours:].float(), self.model.config.scale))
        result = (torch.cat(parts, 1)[0].clamp(0, 1) * most).round().movedim(0, -1).cpu().numpy().astype(part.dtype)
        return result.reshape(*result.shape[:2], *part.shape[2:])

    def predict(self, pixel_values: torch.Tensor, self_ensemble: bool) -> torch.Tensor:
        if not self_ensemble:
            return self.model(pixel_values).reconstruction.float()
        total: Any = 0
        for turns in range(4):
            for mirrored in (False, True):
                view = torch.rot90(pixel_values, turns, (2, 3))
                result = self.model(view.flip(-1) if mirrored else view).reconstruction.float()
                total = total + torch.rot90(result.flip(-1) if mirrored else result, -turns, (2, 3))
        return total / 8

    def postprocess(self, model_outputs: Image.Image | np.ndarray) -> Image.Image | np.ndarray:
        return model_outputs

    def get_iterator(
        self, inputs, num_workers, batch_size, preprocess_params, forward_params, postprocess_params
    ) -> Iterator[Any]:
        """One by one, because images differ in size."""
        for item in inputs:
            outputs = self.forward(self.preprocess(item, **preprocess_params), **forward_params)
            yield self.postprocess(outputs, **postprocess_params)

    def ensure_tensor_on_device(self, inputs, device=None):
        return inputs  # tiles move to the device one by one

    _ensure_tensor_on_device = ensure_tensor_on_device


def read_image(path: str, timeout: float | None = None) -> Image.Image:
    """A PIL image from a path or URL, upright and in its own mode."""
    source: Any = path
    if path.startswith(("http://", "https://")):
        response = httpx.get(path, timeout=timeout, follow_redirects=True)
        if response.status_code != 200:
            raise OSError(f"the server answered {response.status_code}")
        source = BytesIO(response.content)
    image = Image.open(source)
    if image.mode in ("RGB", "RGBA", "LA") and any(";16" in str(part) for part in image.tile):
        logger.warning("%s has 16 bits a channel in colour, of which Pillow reads 8; an array keeps them", path)
    image.load()  # a truncated file fails here
    ImageOps.exif_transpose(image, in_place=True)
    return image


def to_plain_mode(image: Image.Image) -> Image.Image:
    """L, LA, RGB, RGBA or 16-bit gray."""
    if image.mode.startswith("I;16") and image.has_transparency_data:
        logger.warning("its transparent shade is lost: Pillow has no 16-bit gray with an alpha channel")
    elif image.has_transparency_data:
        return (
            image if image.mode in ("LA", "RGBA") else image.convert("LA" if image.mode in ("1", "L", "La") else "RGBA")
        )
    if image.mode in ("L", "RGB", "I;16"):
        return image
    if image.mode in ("F", "I"):
        raise ValueError(
            "its pixels are floats or 32-bit integers, whose range says nothing; save it with 8 or 16 bits"
        )
    if image.mode == "1":
        return image.convert("L")
    if image.mode.startswith("I;16"):  # of another byte order, which PIL's own conversion would cut off at 255
        return Image.fromarray(np.asarray(image).astype(np.uint16))
    return image.convert("RGB")


def check_array(array: np.ndarray) -> np.ndarray:
    if array.dtype.name not in MOST:
        raise ValueError(f"its numbers are {array.dtype.name}; uint8 and uint16 say what is white")
    if array.ndim not in (2, 3) or (array.ndim == 3 and not 1 <= array.shape[2] <= 4) or not array.size:
        raise ValueError(f"its shape is {array.shape}; it is (height, width) or (height, width, 1 to 4 channels)")
    return array
