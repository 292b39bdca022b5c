"""Configuration of a pretrained network with a pooled linear head. This file travels to the Hub with the weights."""

from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig


@strict
class PooledClassifierConfig(PreTrainedConfig):
    """Configuration of a [`PooledClassifier`].

    Args:
        architecture (`str`): the network's name in timm.
        pretrained_cfg (`dict`, *optional*): what timm knows of the weights: `input_size`, `crop_pct`, `interpolation`, `mean` and `std`
            of the images that the network takes.
        dropout (`float`): share of the pooled features dropped before the head in training.
    """

    model_type = "pooled_classifier"

    architecture: str = "vgg16"
    pretrained_cfg: dict[str, Any] | None = None
    dropout: float = 0.0
    image_processor_type: str = "TimmWrapperImageProcessor"  # which reads this file

    def validate_dropout(self):
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; it is a share from 0 to below 1")


PooledClassifierConfig.register_for_auto_class()
