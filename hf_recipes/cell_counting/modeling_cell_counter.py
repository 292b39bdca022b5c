"""Three networks that count cells. This file travels to the Hub with the weights."""

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.utils import ModelOutput

from .configuration_cell_counter import CellCounterConfig


@dataclass
class CellCounterOutput(ModelOutput):
    """Output of [`CellCounter`].

    Args:
        loss (`torch.FloatTensor` of shape `()`, *optional*): mean of `losses`, given with `labels`.
        counts (`torch.FloatTensor` of shape `(batch,)`): cells per image.
        density (`torch.FloatTensor` of shape `(batch, height, width)`, *optional*): cells per pixel; its sum is the
            count. Only the U-Net has one.
        losses (`torch.FloatTensor` of shape `(batch,)`, *optional*): the loss of each image, given with `labels`.
    """

    loss: torch.FloatTensor | None = None
    counts: torch.FloatTensor | None = None
    density: torch.FloatTensor | None = None
    losses: torch.FloatTensor | None = None


def convolution(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]


class Regressor(nn.Module):
    """The textbook's baseline: three convolutions with pooling, flattened into a dense layer, one scalar.

    Its features see 22 pixels; the dense layer then ties every weight to a place in the image.
    """

    def __init__(self, config: CellCounterConfig):
        super().__init__()
        channels, layers = config.num_channels, []
        for width in config.widths:
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
            channels = width
        height, width = (side // 2 ** len(config.widths) for side in config.image_size)
        self.features = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(channels * height * width, 64), nn.ReLU(), nn.Linear(64, 1))

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(pixel_values))[:, 0]


class ResidualStage(nn.Module):
    """Two convolutions with batch norm around a shortcut, at half the resolution of its input (He et al. 2016)."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.layers = nn.Sequential(*convolution(inputs, outputs), *convolution(outputs, outputs)[:2])
        self.shortcut = nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return F.relu(F.max_pool2d(self.layers(features) + self.shortcut(features), 2))


class DeepRegressor(nn.Module):
    """Residual stages and global average pooling: the count is the mean of what the places say, wherever they are."""

    def __init__(self, config: CellCounterConfig):
        super().__init__()
        self.stem_stride = config.stem_stride
        channels = [config.num_channels * config.stem_stride**2, *config.widths]
        self.stages = nn.Sequential(nn.PixelUnshuffle(config.stem_stride), *map(ResidualStage, channels, channels[1:]))
        self.head = nn.Sequential(nn.Linear(channels[-1], channels[-1]), nn.ReLU(), nn.Linear(channels[-1], 1))

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        height, width = pixel_values.shape[-2:]
        padding = (0, -width % self.stem_stride, 0, -height % self.stem_stride)
        return self.head(self.stages(F.pad(pixel_values, padding)).mean((2, 3)))[:, 0]


class UNet(nn.Module):
    """A U-Net (Ronneberger et al. 2015) over blocks of pixels; its output is the scaled density of each block."""

    def __init__(self, config: CellCounterConfig):
        super().__init__()
        self.stem_stride = config.stem_stride
        widths = list(config.widths)
        inputs = [config.num_channels * config.stem_stride**2, *widths]
        self.down = nn.ModuleList(
            nn.Sequential(*convolution(before, width), *convolution(width, width))
            for before, width in zip(inputs, widths)
        )
        self.up = nn.ModuleList(
            nn.Sequential(*convolution(width + below, width), *convolution(width, width))
            for width, below in pairwise(widths)
        )
        self.head = nn.Conv2d(widths[0], 1, 1)

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        features, skips = F.pixel_unshuffle(pixel_values, self.stem_stride), []
        for depth, stage in enumerate(self.down):
            features = stage(F.max_pool2d(features, 2) if depth else features)
            skips.append(features)
        for stage, skip in zip(reversed(self.up), reversed(skips[:-1])):
            features = F.interpolate(features, scale_factor=2, mode="bilinear", align_corners=False)
            features = stage(torch.cat([skip, features], 1))
        return self.head(features)


NETWORKS = {"regressor": Regressor, "deep_regressor": DeepRegressor, "unet": UNet}


class CellCounter(PreTrainedModel):
    """Counts the cells in microscopy images.

    `CellCounterConfig.architecture` chooses the network; see [`CellCounterConfig`]. The U-Net takes images of any size,
    the two regressors only the size that they were trained for.
    """

    config_class = CellCounterConfig
    base_model_prefix = "network"
    main_input_name = "pixel_values"
    accepts_loss_kwargs = False
    keys_to_ignore_at_inference = ["losses"]

    def __init__(self, config: CellCounterConfig):
        super().__init__(config)
        self.network = NETWORKS[config.architecture](config)
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Plain torch's initialisation; that of `PreTrainedModel` is meant for transformers and far too small here."""
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            init.kaiming_uniform_(module.weight, a=math.sqrt(5))
            if module.bias is not None:
                bound = 1 / math.sqrt(module.weight[0].numel())
                init.uniform_(module.bias, -bound, bound)
        elif isinstance(module, nn.BatchNorm2d):
            init.ones_(module.weight)
            init.zeros_(module.bias)
            init.zeros_(module.running_mean)
            init.ones_(module.running_var)
            init.zeros_(module.num_batches_tracked)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path, *args, output_loading_info: bool = False, **kwargs):
        """As `PreTrainedModel.from_pretrained`, but weights that are missing or of another shape are an error.

        Raises:
            ValueError: when the checkpoint does not hold every weight of this network; transformers would draw the
                missing ones at random with a warning, and the model would count nonsense.
        """
        model, info = super().from_pretrained(pretrained_model_name_or_path, *args, output_loading_info=True, **kwargs)
        lost = sorted([*info["missing_keys"], *(key for key, *_ in info["mismatched_keys"])])
        if lost:
            raise ValueError(
                f"{pretrained_model_name_or_path} does not hold the weights of a cell counter with architecture "
                f"{model.config.architecture!r}: {len(lost)} are missing or of another shape, the first is {lost[0]}"
            )
        return (model, info) if output_loading_info else model

    @property
    def stride(self) -> int:
        """Pixels between two places of the coarsest features: images and tiles are aligned to it."""
        stages = len(self.config.widths)
        if self.config.architecture == "regressor":
            return 2**stages
        return self.config.stem_stride * 2 ** (stages - (self.config.architecture == "unet"))

    def forward(
        self,
        pixel_values: torch.FloatTensor,
        pixel_mask: torch.Tensor | None = None,
        labels: torch.FloatTensor | None = None,
        return_dict: bool | None = None,
    ) -> CellCounterOutput:
        """
        Args:
            pixel_values (`(batch, channels, height, width)`): images as [`CellCounterImageProcessor`] makes them.
            pixel_mask (`(batch, height, width)`, *optional*): 1 on the image, 0 on what was padded to fill a batch;
                nothing is counted there. Only the U-Net takes padded images.
            labels (`(batch, height, width)`, *optional*): cells per pixel, the sum of an image being its count. The
                regressors learn that sum only.
            return_dict: not used; the output is always a [`CellCounterOutput`].

        Raises:
            ValueError: when a regressor is given another image size than it was trained for.
        """
        config = self.config
        if config.architecture != "unet":
            height, width = pixel_values.shape[-2:]
            if [height, width] != list(config.image_size) or (pixel_mask is not None and not bool(pixel_mask.all())):
                raise ValueError(
                    f"this {config.architecture} counts in images of {config.image_size[0]} x {config.image_size[1]} "
                    f"pixels only, the size it was trained for, and got {height} x {width}; resize or crop the image, "
                    "or use a model with architecture 'unet', which takes any size"
                )
            scores = self.network(pixel_values).float()
            counts = config.count_mean + config.count_std * scores
            losses = None
            if labels is not None:
                losses = (scores - (labels.sum((1, 2)) - config.count_mean) / config.count_std) ** 2
            return CellCounterOutput(None if losses is None else losses.mean(), counts, None, losses)

        height, width = pixel_values.shape[-2:]
        padding = (0, -width % self.stride, 0, -height % self.stride)
        blocks = self.network(F.pad(pixel_values, padding)).float()
        losses = None
        if labels is not None:
            losses = self.density_losses(blocks, F.pad(labels, padding)[:, None], pixel_mask, padding)
        size = config.stem_stride
        density = blocks[:, 0] / (config.density_scale * size**2)
        density = density.repeat_interleave(size, 1).repeat_interleave(size, 2)[:, :height, :width]
        if pixel_mask is not None:
            density = density * pixel_mask
        return CellCounterOutput(None if losses is None else losses.mean(), density.sum((1, 2)), density, losses)

    def density_losses(
        self, blocks: torch.Tensor, labels: torch.Tensor, pixel_mask: torch.Tensor | None, padding: tuple[int, ...]
    ) -> torch.Tensor:
        """Squared error of the scaled density of each block, and the weighted error of the local counts: `(batch,)`."""
        config, size = self.config, self.config.stem_stride
        targets = F.avg_pool2d(labels, size) * size**2 * config.density_scale
        errors = blocks - targets
        if pixel_mask is not None:
            errors = errors * F.max_pool2d(F.pad(pixel_mask.to(errors.dtype), padding)[:, None], size)
        losses = errors.square().mean((1, 2, 3))
        if config.local_count_weight:
            window = min(config.local_count_size // size, *errors.shape[-2:])
            local = F.avg_pool2d(errors, window, max(window // 2, 1)) * window**2 / config.density_scale
            losses = losses + config.local_count_weight * F.smooth_l1_loss(
                local, torch.zeros_like(local), reduction="none"
            ).mean((1, 2, 3))
        return losses


CellCounter.register_for_auto_class("AutoModel")
