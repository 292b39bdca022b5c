"""Low-rank updates of weights, for several tasks (Hu et al. 2022)."""

from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from torch import nn


def add_lora(model: nn.Module, rank: int, targets: list[str]) -> None:
    """Give the layers of these names a low-rank update each; they begin at nothing."""
    inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=targets), model)


def merge_lora(model: nn.Module) -> None:
    """Add the low-rank updates to the weights that they update, and take them away; the network computes the same."""
    for name, module in list(model.named_modules()):
        if isinstance(module, LoraLayer):
            module.merge()
            model.set_submodule(name, module.get_base_layer())
