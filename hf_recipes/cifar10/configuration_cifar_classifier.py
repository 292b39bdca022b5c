"""Configuration of the small image classifiers. This file travels to the Hub with the weights."""

import math

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

ARCHITECTURES = ("fully_connected", "cnn", "fast_cnn")
DEFAULT_WIDTHS = {"fully_connected": (1024, 1024, 1024), "cnn": (32, 64, 128), "fast_cnn": (64, 256, 256)}
# what each network reads; the others are refused where they are not at their defaults
OPTIONS = {
    "fully_connected": ("whitening", "batch_norm", "residual", "dropout"),
    "cnn": ("batch_norm", "dropout"),
    "fast_cnn": ("whitening", "activation"),
}
DEFAULTS = {"whitening": 0, "batch_norm": True, "residual": False, "dropout": 0.0, "activation": "relu"}
ACTIVATIONS = ("relu", "gelu")
TEST_TIME_AUGMENTATIONS = ("none", "flip", "flip_and_shift")


@strict
class CifarClassifierConfig(PreTrainedConfig):
    """Configuration of a [`CifarClassifier`].

    Args:
        architecture (`str`): `fully_connected` sees a flat vector of pixels; `cnn` is the network that a textbook draws;
            `fast_cnn` is made to train in minutes on a processor.
        image_size (`list[int]`): (height, width) in pixels of the images that the network takes.
        num_channels (`int`): colour channels of the input.
        widths (`list[int]`, *optional*): units of each hidden layer of `fully_connected`, channels of each block of
            the convolutional networks; the architecture's own by default.
        whitening (`int`, *optional*): `fully_connected`: principal components of the flat pixels that a frozen first layer
            keeps and half whitens, 0 for none, which is the default. `fast_cnn`: side in pixels of the patches that its frozen
            first layer half whitens, 2 by default.
        batch_norm (`bool`): batch normalisation behind every hidden layer of `fully_connected` and `cnn`.
        residual (`bool`): `fully_connected`: shortcuts around hidden layers of equal width.
        dropout (`float`): share of units dropped behind every hidden layer (`fully_connected`) or block (`cnn`).
        activation (`str`): of `fast_cnn`, `relu` or `gelu`; ReLU is the cheaper on a processor.
        pixel_permutation (`int`, *optional*): seed of one fixed permutation of the pixels' places, applied to every image:
            the control of the study. A fully connected network cannot tell the difference.
        test_time_augmentation (`str`): the logits are the mean over the image (`none`), it and its mirror image (`flip`), or
            these two shifted by a pixel in both diagonals as well (`flip_and_shift`). Not used in training.
    """

    model_type = "cifar_classifier"
    keys_to_ignore_at_inference = ["plain_logits"]

    architecture: str = "fast_cnn"
    image_size: list[int] | tuple[int, ...] = (32, 32)
    num_channels: int = 3
    widths: list[int] | tuple[int, ...] | None = None
    whitening: int | None = None
    batch_norm: bool = True
    residual: bool = False
    dropout: float = 0.0
    activation: str = "relu"
    pixel_permutation: int | None = None
    test_time_augmentation: str = "none"

    def __post_init__(self, **kwargs):
        if self.widths is None and self.architecture in DEFAULT_WIDTHS:
            self.widths = list(DEFAULT_WIDTHS[self.architecture])
        if self.whitening is None:
            self.whitening = 2 if self.architecture == "fast_cnn" else 0
        super().__post_init__(**kwargs)

    def validate_architecture(self):
        """Raises a `ValueError` that names the field."""
        for name, value, accepted in (
            ("architecture", self.architecture, ARCHITECTURES),
            ("activation", self.activation, ACTIVATIONS),
            ("test_time_augmentation", self.test_time_augmentation, TEST_TIME_AUGMENTATIONS),
        ):
            if value not in accepted:
                raise ValueError(f"{name} is {value!r}; it can be one of {', '.join(accepted)}")
        for name, default in DEFAULTS.items():
            if name not in OPTIONS[self.architecture] and getattr(self, name) != default:
                raise ValueError(f"{name} is {getattr(self, name)!r}, and {self.architecture} has no such option")
        if len(self.image_size) != 2 or min(self.image_size) < 1:
            raise ValueError(f"image_size is {list(self.image_size)}; it is the height and the width")
        if self.whitening < 0:
            raise ValueError(f"whitening is {self.whitening}; it is 0 or more")
        if self.architecture == "fast_cnn" and self.whitening < 1:
            raise ValueError("a fast_cnn needs whitening, the side of the patches of its first layer, of at least 1")
        if self.architecture == "fully_connected" and self.whitening > self.num_channels * math.prod(self.image_size):
            raise ValueError(f"whitening is {self.whitening}; an image has fewer components")
        if not self.widths or min(self.widths) < 1:
            raise ValueError(f"widths is {self.widths}; it needs one positive number for each layer or block")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; it is a share from 0 to below 1")
        smallest = min(self.image_size) - (self.whitening - 1 if self.architecture == "fast_cnn" else 0)
        if self.architecture != "fully_connected" and smallest < 2 ** len(self.widths):
            raise ValueError(
                f"image_size is {list(self.image_size)}; {len(self.widths)} blocks halve it to nothing, give fewer widths"
            )


CifarClassifierConfig.register_for_auto_class()
