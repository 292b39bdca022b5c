"""Counting cells in one call. This file travels to the Hub with the weights."""

from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from huggingface_hub.utils import httpx
from PIL import Image, ImageOps
from transformers import Pipeline

OVERLAY_ROWS = 256  # drawn at once: as floats, rows of a large image are many times its memory


class CellCountingPipeline(Pipeline):
    """Counts cells in paths, URLs, PIL images, arrays, and lists or data sets of them (task `cell-counting`).

    ```python
    >>> counter = pipeline("cell-counting", model="me/cell-counter", trust_remote_code=True)
    >>> counter("cells.png")
    {'count': 171.6}
    >>> counter("cells.png", return_density=True, return_overlay=True)
    {'count': 171.6, 'density': array of (height, width), 'overlay': PIL image}
    ```

    With the U-Net, images with a side longer than `tile_size` are counted in tiles: each tile is read with `overlap`
    pixels of surroundings and only its own part of the density is kept, so no cell at a seam is counted twice and the
    memory does not grow with the image beyond its pixels. The regressors never tile.

    Counts are not below 0, and an image of one single value, such as an all-black one, holds 0 cells.

    Args of a call:
        batch_size (`int`): images per forward pass, where they are of one size. Tiles go through one by one.
        return_density (`bool`): also the density `(height, width)`, float32, cells per pixel.
        return_overlay (`bool`): also the image with its density drawn over it.
        tile_size (`int`), overlap (`int`): in pixels, 512 and 64 by default; rounded up to the network's stride.
        timeout (`float`): seconds to wait for a URL.
    """

    _load_processor = False
    _load_image_processor = True
    _load_feature_extractor = False
    _load_tokenizer = False

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.model.eval()  # a model straight from training would normalise by the batch

    def _sanitize_parameters(
        self, return_density=None, return_overlay=None, tile_size=None, overlap=None, timeout=None
    ) -> tuple[dict, dict, dict]:
        density = None if return_density is None and return_overlay is None else bool(return_density or return_overlay)
        options = (
            {"timeout": timeout},
            {"keep_density": density, "tile_size": tile_size, "overlap": overlap},
            {"return_density": return_density, "return_overlay": return_overlay},
        )
        return tuple({key: value for key, value in group.items() if value is not None} for group in options)

    def preprocess(self, image: Any, timeout: float | None = None) -> dict[str, Any]:
        """Read an image; it stays in its own type of number until a tile of it is needed."""
        name = str(image) if isinstance(image, (str, Path)) else type(image).__name__
        if isinstance(image, dict) and "image" in image:
            image = image["image"]
        try:
            if not isinstance(image, (np.ndarray, torch.Tensor, Image.Image)):
                image = read_image(str(image), timeout)
            return {"array": self.image_processor.to_array(image)}
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, httpx.HTTPError) as error:
            raise ValueError(f"cannot count in {name}: {error}") from error

    def _forward(
        self, model_inputs: dict | list[dict], keep_density: bool = False, tile_size: int = 512, overlap: int = 64
    ) -> dict | list[dict]:
        if isinstance(model_inputs, dict):
            return self._forward([model_inputs], keep_density, tile_size, overlap)[0]
        arrays = [inputs["array"] for inputs in model_inputs]
        results: list[dict] = [{} for _ in arrays]
        tiled = self.model.config.architecture == "unet"
        groups: dict[tuple, list[int]] = {}
        for row, array in enumerate(arrays):
            if array.min() == array.max():
                results[row] = {"count": 0.0, "density": np.zeros(array.shape[:2], np.float32)}
            elif tiled and max(array.shape[:2]) > tile_size:
                results[row] = self.count_tiles(array, keep_density, tile_size, overlap)
            else:
                groups.setdefault((array.shape, array.dtype), []).append(row)
        for rows in groups.values():
            tensors = [self.image_processor.normalize_array(arrays[row]) for row in rows]
            outputs = self.predict_tensors(torch.stack(tensors))
            for place, row in enumerate(rows):
                results[row] = {"count": float(outputs.counts[place])}
                if keep_density and outputs.density is not None:
                    results[row]["density"] = outputs.density[place].cpu().numpy()
        for result, array in zip(results, arrays):
            result["array"] = array
        return results

    def predict_tensors(self, pixel_values: torch.Tensor):
        return self.model(pixel_values.to(self.device, self.model.dtype))

    def count_tiles(self, array: np.ndarray, keep_density: bool, tile_size: int, overlap: int) -> dict:
        """Sum the density over tiles of `(height, width, channels)`; every pixel belongs to exactly one tile."""
        stride = self.model.stride
        core, halo = (-(-size // stride) * stride for size in (tile_size, overlap))
        intensity_range = self.image_processor.intensity_range(array)
        height, width = array.shape[:2]
        density = np.zeros((height, width), np.float32) if keep_density else None
        count = 0.0
        for top in range(0, height, core):
            for left in range(0, width, core):
                above, before = max(top - halo, 0), max(left - halo, 0)
                part = array[above : top + core + halo, before : left + core + halo]
                pixel_values = self.image_processor.normalize_array(part, intensity_range)[None]
                tile = self.predict_tensors(pixel_values).density[0]
                tile = tile[top - above : top - above + core, left - before : left - before + core].float().cpu()
                count += float(tile.double().sum())
                if density is not None:
                    density[top : top + core, left : left + core] = tile.numpy()
        return {"count": count} | ({} if density is None else {"density": density})

    def postprocess(
        self, model_outputs: dict, return_density: bool = False, return_overlay: bool = False
    ) -> dict[str, Any]:
        result = {"count": max(model_outputs["count"], 0.0)}
        architecture = self.model.config.architecture
        if (return_density or return_overlay) and architecture != "unet":
            raise ValueError(f"a {architecture} counts without a density map; only the 'unet' architecture has one")
        if return_density:
            result["density"] = model_outputs["density"]
        if return_overlay:
            result["overlay"] = draw_overlay(model_outputs["array"], model_outputs["density"])
        return result

    def get_iterator(
        self, inputs, num_workers, batch_size, preprocess_params, forward_params, postprocess_params
    ) -> Iterator[dict]:
        """Batches as lists, because images of a batch may differ in size."""
        for batch in batched(inputs, batch_size):
            items = [self.preprocess(item, **preprocess_params) for item in batch]
            for outputs in self.forward(items, **forward_params):
                yield self.postprocess(outputs, **postprocess_params)

    def ensure_tensor_on_device(self, inputs, device=None):
        return inputs  # tiles move to the device one by one

    _ensure_tensor_on_device = ensure_tensor_on_device


def read_image(path: str, timeout: float | None = None) -> Image.Image:
    """A PIL image from a path or URL, upright and in its own mode: transformers' `load_image` makes everything 8-bit RGB."""
    source: Any = path
    if path.startswith(("http://", "https://")):
        response = httpx.get(path, timeout=timeout, follow_redirects=True)
        if response.status_code != 200:
            raise OSError(f"the server answered {response.status_code}")
        source = BytesIO(response.content)
    image = Image.open(source)
    image.load()  # a truncated file fails here
    ImageOps.exif_transpose(image, in_place=True)
    return image


def batched(items: Iterable, size: int) -> Iterator[list]:
    batch: list = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def draw_overlay(array: np.ndarray, density: np.ndarray) -> Image.Image:
    """The image `(height, width, channels)` in gray with the density `(height, width)` over it in warm colours."""
    step = max(1, int((array.size / 1e7) ** 0.5))  # ten million values are enough for a quantile
    low, high = np.quantile(array[::step, ::step].astype(np.float32).mean(-1), [0.005, 0.995])
    top = max(float(np.quantile(density[::step, ::step], 0.995)), 1e-6)
    overlay = np.empty((*density.shape, 3), np.uint8)
    for start in range(0, len(array), OVERLAY_ROWS):
        rows = slice(start, start + OVERLAY_ROWS)
        gray = np.clip((array[rows].astype(np.float32).mean(-1) - low) / max(high - low, 1e-6), 0, 1)[..., None]
        heat = np.clip(density[rows] / top, 0, 1)[..., None]
        warm = np.concatenate([np.ones_like(heat), 0.9 - 0.7 * heat, 0.15 * np.ones_like(heat)], -1)
        blend = 0.65 * np.sqrt(heat)
        overlay[rows] = 255 * (gray * (1 - blend) + warm * blend)
    return Image.fromarray(overlay)
