"""Fully connected and convolutional networks for small images. This file travels to the Hub with the weights."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.utils import ModelOutput

from .configuration_cifar_classifier import CifarClassifierConfig


@dataclass
class CifarClassifierOutput(ModelOutput):
    """Output of [`CifarClassifier`].

    Args:
        loss (`torch.FloatTensor` of shape `()`, *optional*): cross-entropy, given with `labels`.
        logits (`torch.FloatTensor` of shape `(batch, classes)`): the mean over the views of test-time augmentation.
        plain_logits (`torch.FloatTensor` of shape `(batch, classes)`, *optional*): of the image as it is, only with
            test-time augmentation.
    """

    loss: torch.FloatTensor | None = None
    logits: torch.FloatTensor | None = None
    plain_logits: torch.FloatTensor | None = None


def half_whitening(variances: torch.Tensor, components: torch.Tensor) -> torch.Tensor:
    """The projection `(components, inputs)` onto principal components, each divided by the root of its standard deviation.

    Fine detail gains weight without weighing as much as coarse shapes, as it would if whitened in full. Then all are
    divided by one number, which makes their mean variance 1.
    """
    return (components / variances**0.25 / variances.sqrt().mean().sqrt()).T


class DenseLayer(nn.Module):
    """Linear, batch norm, ReLU, dropout; with a shortcut around them where widths allow it (He et al. 2016)."""

    def __init__(self, inputs: int, outputs: int, config: CifarClassifierConfig):
        super().__init__()
        self.linear = nn.Linear(inputs, outputs, bias=not config.batch_norm)
        self.norm = nn.BatchNorm1d(outputs) if config.batch_norm else nn.Identity()
        self.dropout = nn.Dropout(config.dropout)
        self.shortcut = config.residual and inputs == outputs

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        hidden = self.dropout(F.relu(self.norm(self.linear(features))))
        return features + hidden if self.shortcut else hidden


class FullyConnected(nn.Module):
    """Dense layers over the flat pixels. Nothing in it knows which pixels are neighbours.

    The optional whitening keeps the first principal components (Lin, Memisevic and Konda 2015 whiten the inputs of such
    networks too); it is a linear map of the flat vector, so the network stays invariant to permutations of the pixels. It goes
    half of the way, see [`half_whitening`].
    """

    def __init__(self, config: CifarClassifierConfig):
        super().__init__()
        inputs = config.num_channels * math.prod(config.image_size)
        self.whiten = nn.Linear(inputs, config.whitening) if config.whitening else nn.Identity()
        widths = [config.whitening or inputs, *config.widths]
        self.layers = nn.Sequential(*(DenseLayer(before, width, config) for before, width in pairwise(widths)))
        self.head = nn.Linear(widths[-1], config.num_labels)

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        return self.head(self.layers(self.whiten(pixel_values.flatten(1))))

    def whitened_vectors(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1)

    def set_whitening(self, mean: torch.Tensor, moments: torch.Tensor, epsilon: float = 1e-2) -> None:
        values, vectors = torch.linalg.eigh(moments - torch.outer(mean, mean))
        kept = len(self.whiten.bias)
        weight = half_whitening(values.flip(0)[:kept].clamp(min=0) + epsilon, vectors.flip(1)[:, :kept])
        self.whiten.weight.copy_(weight)
        self.whiten.bias.copy_(-weight @ mean)


ACTIVATE = {"relu": F.relu, "gelu": F.gelu}


class ConvLayer(nn.Module):
    """3 x 3 convolution, max pooling if asked for, batch norm, activation."""

    def __init__(
        self, inputs: int, outputs: int, pool: bool = False, batch_norm: bool = True, activation: str = "relu"
    ):
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=not batch_norm)
        self.norm = nn.BatchNorm2d(outputs) if batch_norm else nn.Identity()
        self.pool, self.activate = pool, ACTIVATE[activation]

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        features = self.convolution(features)
        if self.pool:
            features = F.max_pool2d(features, 2)
        return self.activate(self.norm(features))


class PlainCnn(nn.Module):
    """Blocks of two 3 x 3 convolutions with max pooling, and one hidden dense layer (in the manner of VGG)."""

    def __init__(self, config: CifarClassifierConfig):
        super().__init__()
        layers, channels = [], config.num_channels
        for width in config.widths:
            layers += [ConvLayer(inputs, width, batch_norm=config.batch_norm) for inputs in (channels, width)]
            layers += [nn.MaxPool2d(2), nn.Dropout(config.dropout)]
            channels = width
        self.features = nn.Sequential(*layers)
        places = math.prod(side // 2 ** len(config.widths) for side in config.image_size)
        self.head = nn.Sequential(
            nn.Linear(channels * places, channels), nn.ReLU(), nn.Dropout(config.dropout), nn.Linear(channels, config.num_labels)
        )  # fmt: skip

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(pixel_values).flatten(1))


class FastCnn(nn.Module):
    """A frozen whitening convolution and a few wide blocks, made to reach its accuracy in minutes.

    After airbench (Jordan 2024, "94% on CIFAR-10 in 3.29 seconds on a single GPU"), which took the whitening of
    patches and its negated copy from Page 2018 ("How to train your ResNet"), pooling before the batch norm and convolutions that
    start as the identity on their first channels (Zagoruyko and Komodakis 2017). Here the patches are whitened by half, see
    [`half_whitening`].
    """

    def __init__(self, config: CifarClassifierConfig):
        super().__init__()
        components = config.num_channels * config.whitening**2
        self.whiten = nn.Conv2d(config.num_channels, 2 * components, config.whitening)
        widths = [2 * components, *config.widths]
        self.activate = ACTIVATE[config.activation]
        layers = []
        for before, width in pairwise(widths):
            layers.append(ConvLayer(before, width, pool=True, activation=config.activation))
            layers.append(ConvLayer(width, width, activation=config.activation))
        for layer in layers:
            layer.convolution.starts_as_identity = True
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(widths[-1], config.num_labels, bias=False)

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        features = self.layers(self.activate(self.whiten(pixel_values)))
        return self.head(features.amax((2, 3)))

    def whitened_vectors(self, images: torch.Tensor) -> torch.Tensor:
        return F.unfold(images, self.whiten.kernel_size).transpose(1, 2).flatten(0, 1)

    def set_whitening(self, mean: torch.Tensor, moments: torch.Tensor, epsilon: float = 5e-4) -> None:
        values, vectors = torch.linalg.eigh(moments)
        filters = half_whitening(values + epsilon, vectors).reshape(-1, *self.whiten.weight.shape[1:])
        self.whiten.weight.copy_(torch.cat([filters, -filters]))
        self.whiten.bias.zero_()


NETWORKS = {"fully_connected": FullyConnected, "cnn": PlainCnn, "fast_cnn": FastCnn}


class CifarClassifier(PreTrainedModel):
    """Classifies small images. `CifarClassifierConfig.architecture` chooses the network; see [`CifarClassifierConfig`]."""

    config_class = CifarClassifierConfig
    base_model_prefix = "network"
    main_input_name = "pixel_values"
    accepts_loss_kwargs = False

    def __init__(self, config: CifarClassifierConfig):
        super().__init__(config)
        self.network = NETWORKS[config.architecture](config)
        if config.pixel_permutation is not None:
            self.register_buffer("permutation", self.draw_permutation())
        if config.whitening:
            self.network.whiten.requires_grad_(False)
        self.post_init()

    def draw_permutation(self) -> torch.Tensor:
        generator = torch.Generator().manual_seed(self.config.pixel_permutation)
        return torch.randperm(math.prod(self.config.image_size), generator=generator, device="cpu")

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Plain torch's initialisation; that of `PreTrainedModel` is meant for transformers and far too small here."""
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            init.kaiming_uniform_(module.weight, a=math.sqrt(5))
            if module.bias is not None:
                bound = 1 / math.sqrt(module.weight[0].numel())
                init.uniform_(module.bias, -bound, bound)
            loaded = getattr(module.weight, "_is_hf_initialized", False)  # a slice of it would not say so
            if getattr(module, "starts_as_identity", False) and not loaded:
                nn.init.dirac_(module.weight[: module.in_channels])
        elif isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            init.ones_(module.weight)
            init.zeros_(module.bias)
            init.zeros_(module.running_mean)
            init.ones_(module.running_var)
            init.zeros_(module.num_batches_tracked)
        elif isinstance(module, CifarClassifier) and module.config.pixel_permutation is not None:
            init.copy_(module.permutation, module.draw_permutation())

    @torch.no_grad()
    def fit_whitening(self, batches: Iterable[torch.Tensor]) -> None:
        """Set the frozen whitening layer from batches of training images `(batch, channels, height, width)`."""
        count, sums, products = 0, 0.0, 0.0
        for pixel_values in batches:
            vectors = self.network.whitened_vectors(self.permute(pixel_values)).double()
            count, sums, products = count + len(vectors), sums + vectors.sum(0), products + vectors.T @ vectors
        self.network.set_whitening(sums / count, products / count)

    def permute(self, pixel_values: torch.Tensor) -> torch.Tensor:
        if self.config.pixel_permutation is None:
            return pixel_values
        return pixel_values.flatten(2)[..., self.permutation].view_as(pixel_values)

    def forward(self, pixel_values: torch.FloatTensor, labels: torch.Tensor | None = None) -> CifarClassifierOutput:
        """
        Args:
            pixel_values (`(batch, channels, height, width)`): images as the processor makes them.
            labels (`(batch,)` of class numbers, or `(batch, classes)` of shares that sum to 1, *optional*).

        Raises:
            ValueError: when the images have another size than `config.image_size`.
        """
        expected = [self.config.num_channels, *self.config.image_size]
        if self.training and self.config.architecture == "fast_cnn":
            expected[1:] = pixel_values.shape[2:]  # the training may begin with smaller images
        if list(pixel_values.shape[1:]) != expected:
            raise ValueError(
                f"this model takes images of {' x '.join(map(str, expected))} (channels x height x width), and got "
                f"{' x '.join(map(str, pixel_values.shape[1:]))}; its image processor converts and resizes any image"
            )
        views = [pixel_values]
        if not self.training and self.config.test_time_augmentation != "none":
            views = make_views(pixel_values, shift=self.config.test_time_augmentation == "flip_and_shift")
        logits = [self.network(self.permute(view)).float() for view in views]
        mean = torch.stack(logits).mean(0) if len(logits) > 1 else logits[0]
        loss = None if labels is None else F.cross_entropy(mean, labels)
        return CifarClassifierOutput(loss, mean, logits[0] if len(logits) > 1 else None)


def make_views(images: torch.Tensor, shift: bool) -> list[torch.Tensor]:
    """The image first, its mirror image, and with `shift` both moved by a pixel down right and up left."""
    views = [images]
    if shift:
        height, width = images.shape[-2:]
        padded = F.pad(images, (1, 1, 1, 1), mode="reflect")
        views += [padded[..., :height, :width], padded[..., 2:, 2:]]
    return [each for view in views for each in (view, view.flip(-1))]


CifarClassifier.register_for_auto_class("AutoModelForImageClassification")
