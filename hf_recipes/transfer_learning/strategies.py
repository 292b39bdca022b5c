"""Which weights of a pretrained network are trained, when, and how fast.

A network's stages are numbered from its input: those that timm tells apart (`group_matcher(coarse=True)`), the head last.
"""

from typing import Any

import torch
from timm.layers import Conv2dSame
from timm.models import group_parameters
from torch import nn
from torch.nn import functional as F
from transformers import EarlyStoppingCallback, PreTrainedModel, TrainerCallback
from transformers.modeling_outputs import ImageClassifierOutput

from ..lora import add_lora

STRATEGIES = ("linear_probe", "partial", "full", "gradual", "lora", "scratch")


def stages_of(model: PreTrainedModel) -> dict[str, int]:
    """The stage of each parameter by its name, 0 at the input; the head's is the last."""
    network = model.timm_model
    places = group_parameters(network, network.group_matcher(coarse=True), reverse=True)
    head = {id(parameter) for parameter in network.get_classifier().parameters()}
    last = max(place for name, place in places.items() if id(network.get_parameter(name)) not in head) + 1
    return {
        f"timm_model.{name}": last if id(network.get_parameter(name)) in head else place
        for name, place in places.items()
    }


def prepare(model: PreTrainedModel, strategy: str, stages: int = 2, lora_rank: int = 16) -> None:
    """Freeze what a strategy does not train, and add what it does.

    Args:
        model: with `timm_model`, a network of timm or one with its interface.
        strategy: `linear_probe` trains the head alone; `partial` the last `stages` and the head; `lora` low-rank updates of every
            dense layer and convolution (Hu et al. 2022) and the head; `full`, `scratch` and `gradual` everything, the last from
            the head down, by [`Unfreezing`].
        stages: of `partial`, without the head.
        lora_rank: of `lora`.

    Raises:
        ValueError: when the network has fewer stages.
    """
    stage_of = stages_of(model)
    head = max(stage_of.values())
    if strategy == "lora":
        add_updates(model, lora_rank)
    if strategy == "partial" and not 0 < stages <= head:
        raise ValueError(f"--stages is {stages}; {model.config.architecture} has {head} before its head")
    first = {"linear_probe": head, "lora": head, "partial": head - stages}.get(strategy, 0)
    for name, parameter in model.named_parameters():
        is_lora = "lora_" in name
        parameter.requires_grad_(is_lora or stage_of.get(name, -1) >= first)


def add_updates(model: PreTrainedModel, rank: int) -> None:
    """Every dense layer and plain convolution but the head gets a low-rank update.

    Convolutions in groups do not (they have few weights), nor those that change their weights before they use them, such as
    weight-standardised ones: there the sum of the weights is not the sum of the outputs, and an update could not be merged.
    """
    head = model.timm_model.get_classifier()
    targets = [
        name
        for name, module in model.named_modules()
        if type(module) in (nn.Linear, nn.Conv2d, Conv2dSame) and module is not head
        if getattr(module, "groups", 1) == 1 and getattr(module, "dilation", (1, 1)) == (1, 1)
    ]
    if not targets:
        raise ValueError(f"--strategy lora: {model.config.architecture} has no plain dense layer or convolution")
    add_lora(model, rank, targets)


def parameter_groups(
    model: PreTrainedModel, learning_rate: float, weight_decay: float, layer_decay: float = 1.0
) -> list[dict[str, Any]]:
    """Groups for an optimiser: the head learns at `learning_rate`, each stage before it at `layer_decay` times the rate of the next
    (Howard and Ruder 2018); norms and biases (parameters of one dimension) are not decayed. Frozen parameters are in no group."""
    stage_of = stages_of(model) if layer_decay != 1 else {}
    head = max(stage_of.values(), default=0)
    groups: dict[tuple[float, float], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            rate = learning_rate * layer_decay ** (head - stage_of.get(name, head))
            decay = weight_decay if parameter.ndim > 1 else 0.0
            group = groups.setdefault((rate, decay), {"params": [], "lr": rate, "weight_decay": decay})
            group["params"].append(parameter)
    return list(groups.values())


class Unfreezing(TrainerCallback):
    """Trains the head alone at first and one stage more at equal intervals, all of them from `until` of the training on.

    Gradual unfreezing of Howard and Ruder 2018 ("Universal language model fine-tuning").
    """

    def __init__(self, model: PreTrainedModel, until: float = 0.5):
        self.stage_of, self.until = stages_of(model), until
        self.parameters = dict(model.named_parameters())
        self.head = max(self.stage_of.values())

    def on_step_begin(self, args, state, control, **kwargs):
        done = state.global_step / state.max_steps
        trained = min(self.head, int(done / self.until * self.head))
        for name, parameter in self.parameters.items():
            parameter.requires_grad_(self.stage_of[name] >= self.head - trained)


class Patience(EarlyStoppingCallback):
    """Early stopping whose count of validations without a gain goes on in a resumed run."""

    def on_train_begin(self, args, state, control, **kwargs):
        super().on_train_begin(args, state, control, **kwargs)
        saved = state.stateful_callbacks.get(type(self).__name__)
        if saved:
            self.early_stopping_patience_counter = saved["attributes"]["early_stopping_patience_counter"]


class HeadOnFeatures(nn.Module):
    """The head of a network, for a training on features that the frozen rest has computed once."""

    main_input_name = "features"

    def __init__(self, model: PreTrainedModel, dropout: float = 0.0):
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.head = model.timm_model.get_classifier()

    def forward(self, features: torch.Tensor, labels: torch.Tensor | None = None) -> ImageClassifierOutput:
        logits = self.head(self.dropout(features))
        loss = None if labels is None else F.cross_entropy(logits, labels)
        return ImageClassifierOutput(loss=loss, logits=logits)
