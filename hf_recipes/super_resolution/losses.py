"""What a reconstruction is trained on: distances of pixels, of their frequencies and of the features that VGG16 sees in them."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from .vgg import LAYERS, load_vgg, normalize

PIXEL_LOSSES: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "l1": F.l1_loss,
    "mse": F.mse_loss,
    # Charbonnier et al. 1994: the absolute value with a round tip
    "charbonnier": lambda image, target: ((image - target) ** 2 + 1e-6).sqrt().mean(),
}
FEATURE_ERRORS: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "squared": lambda ours, theirs: F.mse_loss(ours, theirs) / theirs.square().mean(),
    "absolute": lambda ours, theirs: F.l1_loss(ours, theirs) / theirs.abs().mean(),
}


class PerceptualLoss(nn.Module):
    """Mean difference of VGG16's features, relative to the size of the target's, summed over layers.

    Johnson, Alahi and Fei-Fei 2016, whose differences are squared. Features grow from layer to layer and differ between weights in use;
    the division makes a weight mean the same for all of them.

    Args:
        backbone: id or folder of VGG16 in timm's format.
        layers: names of `LAYERS`.
        weights: of the layers; each counts 1 if not given.
        error: one of `FEATURE_ERRORS`.
        bf16: whether VGG16 computes in bf16, most of the time of a step.
    """

    def __init__(
        self,
        backbone: str,
        layers: Sequence[str] = ("relu1_2", "relu2_2", "relu3_3"),
        weights: Sequence[float] = (),
        error: str = "squared",
        bf16: bool = False,
    ):
        super().__init__()
        unknown = set(layers) - LAYERS.keys()
        if unknown or not layers or len(set(layers)) < len(layers):
            raise ValueError(f"--perceptual_layers are {' '.join(layers) or 'none'}; there are {', '.join(LAYERS)}")
        if weights and len(weights) != len(layers):
            raise ValueError(
                f"--perceptual_layer_weights are {len(weights)} for {len(layers)} layers; give one for each"
            )
        by_layer = dict(zip(layers, weights or [1.0] * len(layers)))
        self.weights = [by_layer[layer] for layer in LAYERS if layer in by_layer]  # in the order of the features
        self.vgg, self.error, self.bf16 = load_vgg(backbone, layers), FEATURE_ERRORS[error], bf16

    def forward(self, image: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Of two batches `(batch, 3, height, width)`, 0..1."""
        with torch.autocast(image.device.type, torch.bfloat16, enabled=self.bf16):  # Trainer's ends with the model
            with torch.no_grad():
                wanted = self.vgg(normalize(self.vgg, target))
            found = self.vgg(normalize(self.vgg, image))
        return sum(
            weight * self.error(ours.float(), theirs.float())
            for weight, ours, theirs in zip(self.weights, found, wanted)
        )


def frequency_loss(image: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference of the real and imaginary parts of the Fourier transforms (Cho et al. 2021, MIMO-UNet)."""
    difference = torch.fft.rfft2(image.float() - target.float(), norm="ortho")
    return torch.view_as_real(difference).abs().mean()


def make_loss(
    pixel_loss: str = "l1",
    perceptual: PerceptualLoss | None = None,
    perceptual_weight: float = 0.0,
    frequency_weight: float = 0.0,
) -> Callable[..., torch.Tensor]:
    """The weighted sum, of `outputs.reconstruction` and `labels` `(batch, 3, height, width)`, for `Trainer(compute_loss_func=...)`.

    Args:
        pixel_loss: one of `PIXEL_LOSSES`, with weight 1.
        perceptual, perceptual_weight: on the reconstruction cut to 0..1, all that VGG16 knows.
        frequency_weight: of `frequency_loss`.

    Raises:
        ValueError: for a weight below 0, which would train away from the target.
    """
    for option, weight in (("perceptual_weight", perceptual_weight), ("frequency_weight", frequency_weight)):
        if weight < 0:
            raise ValueError(f"--{option} is {weight}; a weight is 0 or more")

    def loss(outputs: Any, labels: torch.Tensor, num_items_in_batch: Any = None) -> torch.Tensor:
        image = outputs["reconstruction"]
        total = PIXEL_LOSSES[pixel_loss](image, labels)
        if frequency_weight:
            total = total + frequency_weight * frequency_loss(image, labels)
        if perceptual is not None:
            total = total + perceptual_weight * perceptual(image.clamp(0, 1), labels)
        return total

    return loss
