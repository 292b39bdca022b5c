"""Configuration of the cell counters. This file travels to the Hub with the weights."""

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

ARCHITECTURES = ("regressor", "deep_regressor", "unet")
DEFAULT_WIDTHS = {"regressor": (16, 32, 64), "deep_regressor": (32, 48, 64, 96), "unet": (32, 48, 64, 96)}


@strict
class CellCounterConfig(PreTrainedConfig):
    """Configuration of a [`CellCounter`].

    Args:
        architecture (`str`): `"regressor"` (three convolutions and a dense layer, one scalar), `"deep_regressor"`
            (residual stages with batch norm and global pooling, one scalar) or `"unet"` (a density map whose sum is
            the count, for images of any size).
        num_channels (`int`): channels of the input image, 1 or 3.
        image_size (`list[int]`, *optional*): (height, width) in pixels that a regressor was trained for; the U-Net
            ignores it.
        widths (`list[int]`, *optional*): channels per stage, from fine to coarse; the architecture's own by default.
        stem_stride (`int`): the deep regressor and the U-Net work on blocks of `stem_stride` x `stem_stride` pixels, folded
            into channels (Shi et al. 2016, the inverse of PixelShuffle); the U-Net predicts the density of each block.
        density_scale (`float`): factor between the U-Net's raw output and cells per block. Densities are small
            numbers; the loss is taken on the scaled ones (Xie et al. 2016 scale by 100).
        local_count_weight (`float`): weight of the second term of the U-Net's loss, the error of the counts in windows
            of `local_count_size` pixels that overlap by half.
        local_count_size (`int`): side of those windows in pixels, a multiple of twice `stem_stride`.
        count_mean, count_std (`float`): mean and standard deviation of the training counts; a regressor predicts the
            standardised count.
    """

    model_type = "cell_counter"

    architecture: str = "unet"
    num_channels: int = 3
    image_size: list[int] | tuple[int, ...] | None = None
    widths: list[int] | tuple[int, ...] | None = None
    stem_stride: int = 2
    density_scale: float = 100.0
    local_count_weight: float = 0.0
    local_count_size: int = 32
    count_mean: float = 0.0
    count_std: float = 1.0

    def __post_init__(self, **kwargs):
        if self.widths is None and self.architecture in DEFAULT_WIDTHS:
            self.widths = list(DEFAULT_WIDTHS[self.architecture])
        super().__post_init__(**kwargs)

    def validate_architecture(self):
        """Raises a `ValueError` that names the field."""
        if self.architecture not in ARCHITECTURES:
            raise ValueError(f"architecture is {self.architecture!r}; it can be one of {', '.join(ARCHITECTURES)}")
        if self.architecture != "unet" and self.image_size is None:
            raise ValueError(f"a {self.architecture} needs image_size, the (height, width) that it is trained for")
        if self.local_count_size % (2 * self.stem_stride):
            raise ValueError(
                f"stem_stride {self.stem_stride} does not go with local_count_size {self.local_count_size}, which has to be a "
                "multiple of twice the stride"
            )


CellCounterConfig.register_for_auto_class()
