"""How far a reconstruction is from the image: the protocol of the field, `y_channel_matlab`, and its numbers."""

from collections.abc import Callable

import datasets
import evaluate
import numpy as np
import torch
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

MOST_PSNR = 100.0  # dB
METRICS = {"psnr": "PSNR", "ssim": "SSIM", "rgb_psnr": "RGB PSNR"}
# dB of bicubic interpolation on the luminance, as papers have reported it since Timofte et al. 2013, by benchmark and scale
PUBLISHED_BICUBIC = {
    "set5": {2: 33.66, 3: 30.39, 4: 28.42},
    "set14": {2: 30.24, 3: 27.55, 4: 26.00},
    "bsd100": {2: 29.56, 3: 27.21, 4: 25.96},
}


class Reconstruction(evaluate.Metric):
    """The mean over images of what `judge` measures of each."""

    def _info(self):
        return evaluate.MetricInfo(
            description=self.__doc__,
            citation="",
            features=datasets.Features(
                {"predictions": datasets.List(datasets.Value("float64")), "references": datasets.Value("int64")}
            ),
        )

    def _compute(self, predictions, references) -> dict[str, float]:
        return dict(zip(METRICS, np.mean(predictions, 0).tolist()))


def luminance(image: np.ndarray) -> np.ndarray:
    """Of uint8 `(height, width, 3)`, 16..235 in the studio range of ITU-R BT.601, as MATLAB's `rgb2ycbcr` has it without its rounding."""
    return 16 + image.astype(np.float64) @ (np.array([65.481, 128.553, 24.966]) / 255)


def judge(image: np.ndarray, target: np.ndarray, scale: int) -> dict[str, float]:
    """`METRICS` by the protocol `y_channel_matlab`.

    PSNR and SSIM (Wang et al. 2004, windows of 11 pixels that lie inside) of the luminance, both peak 255, a border of `scale` pixels left
    out; the luminance is not rounded to whole numbers, as it is in some programs. A gray image is one of three equal channels, as published
    rows have it: in Set14 there is one. RGB PSNR is that of all three channels. PSNR ends at `MOST_PSNR`, which an image without any error has.

    Args:
        image, target: uint8 `(height, width, 3)`.
        scale: of the reconstruction.

    Raises:
        ValueError: when the sizes differ, or are below `least_side`.
    """
    if min(target.shape[:2]) < least_side(scale):
        raise ValueError(f"an image of {target.shape[:2]} pixels is too small to judge; {least_side(scale)} are needed")
    if image.shape != target.shape:
        raise ValueError(f"a reconstruction of {image.shape[:2]} pixels cannot be compared with {target.shape[:2]}")
    image, target = (each[scale:-scale, scale:-scale] for each in (image, target))
    ours, theirs = (torch.from_numpy(luminance(each))[None, None] for each in (image, target))
    colours = (torch.from_numpy(each.astype(np.float64)) for each in (image, target))
    _, similarity = structural_similarity_index_measure(ours, theirs, data_range=255.0, return_full_image=True)
    return {
        "psnr": min(float(peak_signal_noise_ratio(ours, theirs, data_range=255.0)), MOST_PSNR),
        "ssim": float(similarity[..., 5:-5, 5:-5].mean()),  # torchmetrics mirrors the image for windows that leave it
        "rgb_psnr": min(float(peak_signal_noise_ratio(*colours, data_range=255.0)), MOST_PSNR),
    }


def least_side(scale: int) -> int:
    """Pixels that an image must have to be judged: a window of SSIM inside the border, and what VGG16 halves four times for LPIPS."""
    return max(2 * scale + 11, 16)


def to_images(pixel_values: torch.Tensor) -> np.ndarray:
    """A batch `(batch, 3, height, width)` of 0..1 as uint8 `(batch, height, width, 3)`."""
    return (pixel_values.float().clamp(0, 1) * 255).round().to(torch.uint8).movedim(1, -1).cpu().numpy()


def make_reduce(scale: int) -> Callable[[dict, object], tuple[dict, dict]]:
    """One row of `METRICS` per image, so that no image is kept."""

    def reduce_batch(batch: dict, outputs) -> tuple[dict, dict]:
        pairs = zip(to_images(outputs["reconstruction"]), to_images(batch["labels"]))
        rows = [list(judge(image, target, scale).values()) for image, target in pairs]
        return {"metrics": torch.tensor(rows, device=batch["source"].device)}, {"source": batch["source"]}

    return reduce_batch


def make_compute(sources: list[str]) -> Callable[[object], dict[str, float]]:
    """A function from rows of `make_reduce` to means over the images: `psnr` of those without a source, `set5_psnr` of a benchmark.

    Args:
        sources: names by number.
    """

    def compute(evaluation) -> dict[str, float]:
        rows, numbers = evaluation.predictions["metrics"], evaluation.label_ids["source"].astype(int)
        found = {}
        for number in np.unique(numbers):
            of, name = numbers == number, sources[number]
            means = Reconstruction().compute(predictions=rows[of], references=numbers[of])
            found |= {f"{name}_{key}" if name else key: value for key, value in means.items()}
        return found

    return compute
