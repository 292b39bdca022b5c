"""The convolutions of a network of timm with a pooled linear head. This file travels to the Hub with the weights.

For networks such as VGG, whose own classifier has a hundred million weights that a small data set cannot train.
"""

from collections.abc import Callable

import timm
import torch
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import ImageClassifierOutput

from .configuration_pooled_classifier import PooledClassifierConfig


class PooledNetwork(nn.Module):
    """The convolutions of a timm network, the mean over all places, dropout and a linear layer; with timm's own interface."""

    def __init__(self, config: PooledClassifierConfig):
        super().__init__()
        self.backbone = timm.create_model(config.architecture, features_only=True, out_indices=(-1,))
        self.num_features = self.backbone.feature_info.channels()[-1]
        self.drop_rate = config.dropout
        self.head = nn.Linear(self.num_features, config.num_labels)

    def forward_features(self, pixel_values: torch.Tensor) -> torch.Tensor:
        return self.backbone(pixel_values)[-1]

    def forward_head(self, features: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        pooled = F.dropout(features.mean((2, 3)), self.drop_rate, self.training)
        return pooled if pre_logits else self.head(pooled)

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        return self.forward_head(self.forward_features(pixel_values))

    def get_classifier(self) -> nn.Linear:
        return self.head

    def group_matcher(self, coarse: bool = False) -> Callable[[str], float]:
        """A function from a parameter's name to its place among the layers, or, coarse, to its stage: how often the images were
        halved before it."""
        layers, stages, stage = {}, {}, 0
        for name, module in self.backbone.named_children():
            stage += any(halves(each) for each in module.modules())
            if next(module.parameters(), None) is not None:
                layers[name], stages[name] = len(layers), stage
        places = stages if coarse else layers
        return lambda name: places[name.split(".")[1]] if name.startswith("backbone.") else float("inf")


def halves(module: nn.Module) -> bool:
    stride = getattr(module, "stride", 1)
    return (stride if isinstance(stride, int) else stride[0]) > 1


class PooledClassifier(PreTrainedModel):
    """Classifies images; see [`PooledClassifierConfig`]."""

    config_class = PooledClassifierConfig
    base_model_prefix = "timm_model"
    main_input_name = "pixel_values"
    accepts_loss_kwargs = False

    def __init__(self, config: PooledClassifierConfig):
        super().__init__(config)
        self.timm_model = PooledNetwork(config)
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """timm's own initialisation of VGG; that of `PreTrainedModel` is meant for transformers and far too small here."""
        if isinstance(module, nn.Conv2d):
            init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            init.normal_(module.weight, 0.0, 0.01)
        elif isinstance(module, nn.BatchNorm2d):
            init.ones_(module.weight)
            init.zeros_(module.running_mean)
            init.ones_(module.running_var)
            init.zeros_(module.num_batches_tracked)
        if getattr(module, "bias", None) is not None and isinstance(module.bias, nn.Parameter):
            init.zeros_(module.bias)

    def forward(self, pixel_values: torch.FloatTensor, labels: torch.LongTensor | None = None) -> ImageClassifierOutput:
        """
        Args:
            pixel_values (`(batch, 3, height, width)`): images as the processor makes them.
            labels (`(batch,)` of class numbers, or `(batch, classes)` of shares that sum to 1, *optional*).
        """
        logits = self.timm_model(pixel_values)
        loss = None if labels is None else F.cross_entropy(logits, labels)
        return ImageClassifierOutput(loss=loss, logits=logits)


PooledClassifier.register_for_auto_class("AutoModelForImageClassification")
