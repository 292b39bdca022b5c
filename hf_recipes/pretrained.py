"""Pretrained networks, for several tasks: load them quietly, and never with weights that start at random unsaid."""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging


@contextlib.contextmanager
def errors_only() -> Iterator[None]:
    """transformers says nothing but errors inside, where a new head is what is asked for."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)


def load_features(backbone: str, option: str, stages: tuple[int, ...] = (-1,)) -> nn.Module:
    """A network of timm that gives the features of some of its stages, a list of `(batch, channels, height, width)`.

    Args:
        backbone: id or folder.
        option: of the command line that names it, for errors.
        stages: numbers of timm's `out_indices`.

    Raises:
        OSError, RuntimeError: when there is no such network, or it cannot be loaded.
        ValueError: when some of its weights are not in the repository.
    """
    import timm  # slow to load, and text has no use for it

    place = f"local-dir:{backbone}" if Path(backbone).is_dir() else f"hf-hub:{backbone}"
    # a repository without a classifier says that it has 0 classes, and timm would want the classifier's layers then
    overlay = {"num_classes": -1}
    makings = []
    for seed in (0, 1):  # what is in the repository is the same both times, what is drawn is not
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            makings.append(
                timm.create_model(
                    place, pretrained=True, features_only=True, out_indices=stages, pretrained_cfg_overlay=overlay
                )
            )
    first, second = (network.state_dict() for network in makings)
    fresh = [name for name, value in first.items() if not value.equal(second[name])]
    if fresh:
        raise ValueError(f"{option} {backbone} has no weights for {', '.join(fresh[:4])}, which would start at random")
    return makings[0]


def check_weights(model: PreTrainedModel, missing: Iterable[str], source: str, head_is_new: bool) -> None:
    """Raises a `ValueError` where weights are missing that would start at random, but for those of a head that is to be new.

    Args:
        model: as loaded.
        missing: `missing_keys` of `from_pretrained(..., output_loading_info=True)`.
        source: the id or folder.
        head_is_new: whether the head may be missing.
    """
    head = f"{find_head(model)[0]}." if head_is_new else None
    names = sorted(name for name in missing if head is None or not name.startswith(head))
    if names:
        raise ValueError(f"{source} has no weights for {', '.join(names[:4])}, which would start at random")


def load_trained(model_class: type, source: str) -> PreTrainedModel:
    """A model that was trained, by an auto class of transformers.

    Raises:
        OSError, ValueError: when there is no such model, or some of its weights are not there.
    """
    model, info = model_class.from_pretrained(source, output_loading_info=True)
    check_weights(model, info["missing_keys"], source, head_is_new=False)
    return model


def set_dropout(config: PreTrainedConfig, share: float | None) -> None:
    """Every dropout of an encoder in training, before it is made; None leaves them as they are.

    Raises:
        ValueError: when the config has none.
    """
    if share is None:
        return
    names = [name for name, value in config.to_dict().items() if "dropout" in name and isinstance(value, (int, float))]
    if not names:
        raise ValueError(f"--dropout is {share}, and {type(config).__name__} has none")
    for name in names:
        setattr(config, name, share)


def longest_window(config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase) -> int:
    """The most tokens that a model reads at once."""
    positions = getattr(config, "max_position_embeddings", None) or 0
    return min(positions if positions > 0 else 10**9, tokenizer.model_max_length)  # XLNet's -1 is no limit


def find_head(model: PreTrainedModel) -> tuple[str, nn.Linear]:
    """The name and the layer that gives the logits: the last linear layer with as many outputs as there are labels.

    Raises:
        ValueError: when there is none.
    """
    for name, module in reversed(list(model.named_modules())):
        if isinstance(module, nn.Linear) and module.out_features == model.config.num_labels:
            return name, module
    raise ValueError(
        f"{type(model).__name__} has no linear layer with {model.config.num_labels} outputs, one for each label"
    )


def encoder_layers(model: PreTrainedModel) -> list[str]:
    """Names of the linear layers but the head, and but a pooler, which words have no use for."""
    head = find_head(model)[1]
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and module is not head and "pooler" not in name
    ]
