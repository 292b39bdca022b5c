"""What a reconstruction is trained on: distances of pixels, of their frequencies and of the features that VGG16 sees in them."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from .vgg import LAYERS, load_vgg, normalize

PIXEL_LOSSES: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "l1": F.l1_loss,
    # Charbonnier et al. 1994: the absolute value with a round tip
    "charbonnier": lambda image, target: ((image - target) ** 2 + 1e-6).sqrt().mean(),
}


class PerceptualLoss(nn.Module):
    """Mean absolute difference of VGG16's features, relative to the mean of the target's, summed over layers.

    Johnson, Alahi and Fei-Fei 2016. Features grow from layer to layer and differ between weights in use; the division makes a weight
    mean the same for all of them.

    Args:
        backbone: id or folder of VGG16 in timm's format.
        layers: names of `LAYERS`.
    """

    def __init__(self, backbone: str, layers: Sequence[str] = ("relu2_2", "relu3_3")):
        super().__init__()
        unknown = set(layers) - LAYERS.keys()
        if unknown or not layers:
            raise ValueError(f"--perceptual_layers are {' '.join(layers) or 'none'}; there are {', '.join(LAYERS)}")
        self.vgg = load_vgg(backbone, layers)

    def forward(self, image: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Of two batches `(batch, 3, height, width)`, 0..1."""
        with torch.no_grad():
            wanted = self.vgg(normalize(self.vgg, target))
        found = self.vgg(normalize(self.vgg, image))
        return sum(F.l1_loss(ours, theirs) / theirs.abs().mean() for ours, theirs in zip(found, wanted))


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
    """

    def loss(outputs: Any, labels: torch.Tensor, num_items_in_batch: Any = None) -> torch.Tensor:
        image = outputs["reconstruction"]
        total = PIXEL_LOSSES[pixel_loss](image, labels)
        if frequency_weight:
            total = total + frequency_weight * frequency_loss(image, labels)
        if perceptual is not None:
            total = total + perceptual_weight * perceptual(image.clamp(0, 1), labels)
        return total

    return loss
