"""The trainer of a pretrained network: its loss, and the strategies that need more than frozen weights."""

from collections.abc import Callable
from typing import Any

import torch
from datasets import Dataset
from torch import nn
from torch.nn import functional as F

from ..training import RecipeTrainer
from .strategies import HeadOnFeatures


class TransferTrainer(RecipeTrainer):
    """A `RecipeTrainer` that also measures how well the network does on images that it was trained on.

    Args:
        fitted: training images as they are, to see at each validation how much better the network does on what it has seen.
    """

    def __init__(self, *, fitted: Dataset, **kwargs):
        super().__init__(**kwargs)
        self.fitted = fitted
        self.trained_parameters = sum(each.numel() for each in self.model.parameters() if each.requires_grad)

    def evaluate(self, *args, **kwargs) -> dict[str, float]:
        metrics = super().evaluate(*args, **kwargs)
        with self.averaged_weights():
            loader = self.get_eval_dataloader(self.fitted)
            output = self.evaluation_loop(loader, "Training images", metric_key_prefix="fitted")
        self.log(output.metrics)
        return metrics


class ProbeTrainer(TransferTrainer):
    """Trains the head of a network on features that the frozen rest has computed once, and then saves the whole network."""

    def __init__(self, *, model: nn.Module, dropout: float = 0.0, **kwargs):
        self.network = model
        super().__init__(model=HeadOnFeatures(model, dropout), **kwargs)

    def train(self, *args, **kwargs):
        output = super().train(*args, **kwargs)
        self.model = self.model_wrapped = self.network  # it shares the head that was trained
        self._signature_columns = None  # those of the head
        return output


def make_loss(label_smoothing: float = 0.0, class_weights: torch.Tensor | None = None) -> Callable[..., torch.Tensor]:
    """Cross-entropy of `outputs.logits` and labels `(batch,)` or shares `(batch, classes)`, the mean of a batch, for
    `Trainer(compute_loss_func=...)`.

    Args:
        label_smoothing: share of the label that is spread over all classes (Szegedy et al. 2016).
        class_weights: `(classes,)`, of the images of each class; their mean over the training images should be 1.
    """

    def loss(outputs: Any, labels: torch.Tensor, num_items_in_batch: Any = None) -> torch.Tensor:
        losses = -F.log_softmax(outputs["logits"], 1)  # of each class, were it the image's
        # not by `cross_entropy`, which weighs the terms of the smoothed label and not the image: common classes would be smoothed more
        losses = (1 - label_smoothing) * losses + label_smoothing * losses.mean(1, keepdim=True)
        shares = F.one_hot(labels, losses.shape[1]) if labels.ndim == 1 else labels
        if class_weights is not None:
            losses = losses * class_weights.to(losses)
        return (shares * losses).sum(1).mean()

    return loss


def balanced_weights(labels: torch.Tensor, num_classes: int) -> torch.Tensor:
    """Weights with which every class counts the same, their mean over the images 1 (King and Zeng 2001)."""
    counts = torch.bincount(labels, minlength=num_classes).clamp(min=1)
    return len(labels) / (num_classes * counts)
