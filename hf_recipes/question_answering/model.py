"""Encoders with fewer layers."""

from torch import nn
from transformers import PreTrainedModel


def keep_layers(model: PreTrainedModel, number: int) -> None:
    """Keep the first layers of the encoder only, in place.

    Raises:
        ValueError: when there are not so many, or the model does not keep its layers in one list.
    """
    total = model.config.num_hidden_layers
    if not 0 < number <= total:
        raise ValueError(f"--layers is {number}; the model has {total}")
    lists = [module for module in model.modules() if isinstance(module, nn.ModuleList) and len(module) == total]
    if len(lists) != 1:
        raise ValueError(f"{type(model).__name__} has {len(lists)} lists of {total} layers; --layers needs one")
    del lists[0][number:]
    model.config.num_hidden_layers = number
