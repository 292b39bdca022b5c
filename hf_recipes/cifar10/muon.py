"""Muon: momentum whose steps are orthogonal matrices, for the hidden layers of small networks."""

import torch
from torch import nn

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic iteration, by Jordan et al. 2024


class Muon(torch.optim.Optimizer):
    """Hidden weights step by their orthogonalised momentum, everything else by SGD with Nesterov momentum.

    The method is that of Jordan et al. 2024 ("Muon: an optimizer for hidden layers in neural networks"), with the weights
    kept at a fixed norm as in their airbench94_muon instead of decayed: a filter behind a batch norm has no scale. The
    Newton-Schulz iterations are in the precision of the weights. torch and timm have a Muon too, whose iterations are in
    bfloat16, which is slow on a processor that only emulates it.

    Args:
        params: groups of parameters; those with `orthogonal=True` hold weights of two dimensions or more, their first
            dimension the outputs.
        lr: of the orthogonal groups a share of the weights' norm: an update's norm is about `lr` times that of the weights at most.
        momentum: of all groups that name none.
        iterations: of Newton-Schulz.
        weight_decay: of the other groups.
    """

    def __init__(self, params, lr: float, momentum: float = 0.85, iterations: int = 3, weight_decay: float = 0.0):
        defaults = {"lr": lr, "momentum": momentum, "iterations": iterations, "weight_decay": weight_decay}
        super().__init__(params, defaults | {"orthogonal": False})

    @torch.no_grad()
    def step(self, closure=None):
        loss = None if closure is None else torch.enable_grad()(closure)()
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self.step_weight(weight, group)
        return loss

    def step_weight(self, weight: nn.Parameter, group: dict) -> None:
        gradient, state = weight.grad, self.state[weight]
        if not group["orthogonal"] and group["weight_decay"]:
            gradient = gradient.add(weight, alpha=group["weight_decay"])
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(gradient)
        momentum = state["momentum"].mul_(group["momentum"]).add_(gradient)
        update = gradient.add(momentum, alpha=group["momentum"])
        if group["orthogonal"]:
            weight.mul_(len(weight) ** 0.5 / weight.norm().clamp(min=1e-7))
            update = orthogonalize(update.flatten(1), group["iterations"]).view_as(weight)
        weight.add_(update, alpha=-group["lr"])


def orthogonalize(matrix: torch.Tensor, iterations: int) -> torch.Tensor:
    """About the nearest matrix whose singular values are all one, by `iterations` of Newton-Schulz.

    The coefficients make small singular values grow fast rather than converge to one exactly (Jordan et al. 2024).
    """
    linear, cubic, quintic = COEFFICIENTS
    tall = len(matrix) > matrix.shape[1]
    matrix = matrix.T if tall else matrix
    matrix = matrix / matrix.norm().clamp(min=1e-7)
    for _ in range(iterations):
        square = matrix @ matrix.T
        matrix = linear * matrix + (cubic * square + quintic * square @ square) @ matrix
    return matrix.T if tall else matrix


def muon_groups(model: nn.Module, hidden_lr: float, lr: float, weight_decay: float) -> list[dict]:
    """Groups of a model's trained parameters: hidden weights, the weights of the last layer, and norms with biases.

    The hidden weights' momentum is that of airbench94_muon.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    *hidden, last = [parameter for parameter in trained if parameter.ndim > 1]
    return [
        {"params": hidden, "lr": hidden_lr, "momentum": 0.6, "orthogonal": True},
        {"params": [last], "lr": lr, "weight_decay": weight_decay},
        {"params": [parameter for parameter in trained if parameter.ndim < 2], "lr": lr, "weight_decay": 0.0},
    ]
