"""Networks that make small images large. This file travels to the Hub with the weights."""

import math

import torch
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import ImageSuperResolutionOutput

from .configuration_super_resolver import SuperResolverConfig


def upsample_bicubic(pixel_values: torch.Tensor, scale: int) -> torch.Tensor:
    """Bicubic interpolation with a = -0.5, as MATLAB and PIL have it; without `antialias`, torch takes a = -0.75."""
    return F.interpolate(pixel_values, scale_factor=scale, mode="bicubic", antialias=True)


class Srcnn(nn.Module):
    """9-5-5 convolutions on the interpolated image (Dong et al. 2014), in colour. Receptive field: 17 pixels of the result."""

    def __init__(self, config: SuperResolverConfig):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 64, 9, padding=4),
            nn.ReLU(),
            nn.Conv2d(64, 32, 5, padding=2),
            nn.ReLU(),
            nn.Conv2d(32, 3, 5, padding=2),
        )
        self.reach = math.ceil(8 / config.scale) + 2  # what interpolation looks at

    @property
    def last(self) -> nn.Conv2d:
        return self.layers[-1]

    def forward(self, pixel_values: torch.Tensor, interpolated: torch.Tensor) -> torch.Tensor:
        return self.layers(interpolated)


class Espcn(nn.Module):
    """5-3-3 convolutions on the small image and one shuffle of channels into pixels (Shi et al. 2016), in colour. Receptive
    field: 9 pixels of the small image."""

    reach = 4

    def __init__(self, config: SuperResolverConfig):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 64, 5, padding=2),
            nn.Tanh(),
            nn.Conv2d(64, 32, 3, padding=1),
            nn.Tanh(),
            nn.Conv2d(32, 3 * config.scale**2, 3, padding=1),
        )
        self.shuffle = nn.PixelShuffle(config.scale)

    @property
    def last(self) -> nn.Conv2d:
        return self.layers[-1]

    def forward(self, pixel_values: torch.Tensor, interpolated: torch.Tensor) -> torch.Tensor:
        return self.shuffle(self.layers(pixel_values))


class ResidualBlock(nn.Module):
    """Two convolutions without batch norm around a ReLU, and a shortcut (Lim et al. 2017, EDSR)."""

    def __init__(self, width: int):
        super().__init__()
        self.first, self.second = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))
        self.second.initial_gain = 0.1

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features + self.second(F.relu(self.first(features)))


class Light(nn.Module):
    """Residual blocks on the small image, a shortcut around all of them, and one shuffle of channels into pixels.

    EDSR (Lim et al. 2017) made small: plain 3 x 3 convolutions, which processors multiply fastest, in place of depthwise ones and
    the attention of IMDN, SAFMN and SPAN, whose small operations they are slow at; everything before the shuffle works on the small image (Shi et al. 2016; Dong et al. 2016, FSRCNN). Receptive
    field: `7 + 4 blocks` pixels of the small image, 47 by default.
    """

    def __init__(self, config: SuperResolverConfig):
        super().__init__()
        self.first = nn.Conv2d(3, config.width, 3, padding=1)
        self.blocks = nn.Sequential(*(ResidualBlock(config.width) for _ in range(config.blocks)))
        self.merge = nn.Conv2d(config.width, config.width, 3, padding=1)
        self.last = nn.Conv2d(config.width, 3 * config.scale**2, 3, padding=1)
        self.shuffle = nn.PixelShuffle(config.scale)
        self.reach = 3 + 2 * config.blocks

    def forward(self, pixel_values: torch.Tensor, interpolated: torch.Tensor) -> torch.Tensor:
        features = self.first(pixel_values)
        features = features + self.merge(self.blocks(features))
        return self.shuffle(self.last(features))


NETWORKS = {"srcnn": Srcnn, "espcn": Espcn, "light": Light}


class SuperResolver(PreTrainedModel):
    """Makes images `config.scale` times as wide and high: bicubic interpolation plus what the network adds to it (Kim et al. 2016,
    VDSR). Before any training it is the interpolation. See [`SuperResolverConfig`]."""

    config_class = SuperResolverConfig
    base_model_prefix = "network"
    main_input_name = "pixel_values"
    accepts_loss_kwargs = False

    def __init__(self, config: SuperResolverConfig):
        super().__init__(config)
        self.network = NETWORKS[config.architecture](config)
        self.network.last.initial_gain = 0.0
        self.post_init()

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path, *args, output_loading_info: bool = False, **kwargs):
        """As `PreTrainedModel.from_pretrained`, but weights that are missing or of another shape are an error.

        Raises:
            ValueError: when the checkpoint does not hold every weight of this network, which would be no more than interpolation.
        """
        model, info = super().from_pretrained(pretrained_model_name_or_path, *args, output_loading_info=True, **kwargs)
        lost = sorted([*info["missing_keys"], *(key for key, *_ in info["mismatched_keys"])])
        if lost:
            raise ValueError(
                f"{pretrained_model_name_or_path} does not hold the weights of a super-resolver with architecture "
                f"{model.config.architecture!r}: {len(lost)} are missing or of another shape, the first is {lost[0]}"
            )
        return (model, info) if output_loading_info else model

    @property
    def reach(self) -> int:
        """Pixels of the small image around one that its enlargement depends on; bicubic interpolation looks at 2."""
        return max(self.network.reach, 2)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """He's initialisation, a tenth of it at the end of each block (Wang et al. 2018, ESRGAN), and nothing in the last layer."""
        if isinstance(module, nn.Conv2d):
            gain = getattr(module, "initial_gain", 1.0)
            init.normal_(module.weight, 0.0, gain * math.sqrt(2 / module.weight[0].numel()))
            init.zeros_(module.bias)

    def forward(
        self, pixel_values: torch.FloatTensor, labels: torch.FloatTensor | None = None
    ) -> ImageSuperResolutionOutput:
        """
        Args:
            pixel_values (`(batch, 3, height, width)`): small images in RGB, 0..1.
            labels (`(batch, 3, scale * height, scale * width)`, *optional*): large ones; the loss is the mean absolute error.

        Returns:
            `reconstruction` of the size of `labels`; it may leave 0..1 a little.

        Raises:
            ValueError: when the sizes do not fit.
        """
        if pixel_values.ndim != 4 or pixel_values.shape[1] != 3:
            raise ValueError(f"pixel_values are {tuple(pixel_values.shape)}; they are (batch, 3, height, width)")
        interpolated = upsample_bicubic(pixel_values, self.config.scale)
        # around 0, so that the edge of an image is gray and bf16 rounds bright pixels no more than dark ones
        reconstruction = interpolated + self.network(pixel_values - 0.5, interpolated - 0.5)
        loss = None
        if labels is not None:
            if labels.shape != reconstruction.shape:
                raise ValueError(
                    f"labels are {tuple(labels.shape)}; {self.config.scale} times the images of {tuple(pixel_values.shape)} are "
                    f"{tuple(reconstruction.shape)}"
                )
            loss = F.l1_loss(reconstruction, labels)
        return ImageSuperResolutionOutput(loss=loss, reconstruction=reconstruction)


SuperResolver.register_for_auto_class("AutoModelForImageToImage")
