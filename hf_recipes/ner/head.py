"""The head of a tagger taken apart by its labels and put together for others: nothing is reused by number alone."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import nn
from transformers import PreTrainedModel

from .labels import LabelMap, map_by_name, split_tag, types_of

# where a source scheme has no such letter, the nearest: a beginning is like an entity of one word, an end like an inside
NEAREST = {"B": "BSUI", "S": "SUBI", "U": "USBI", "I": "IELB", "E": "ELIB", "L": "LEIB"}


def tags_of(model: PreTrainedModel) -> list[str]:
    """The tags of a model's head, by number."""
    return [model.config.id2label[number] for number in range(model.config.num_labels)]


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
    """Names of the linear layers but the head, and but a pooler, which taggers do not use."""
    head = find_head(model)[1]
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and module is not head and "pooler" not in name
    ]


def check_labels(model: PreTrainedModel, tags: Sequence[str]) -> None:
    """Refuses a head whose labels are not those of the data, in the same order.

    With as many labels under other names, transformers reuses the rows by number and writes a line to the log: what meant `B-ORG` then
    means whatever the data call by that number.

    Raises:
        ValueError: that shows both and the map which their names suggest.
    """
    ours = tags_of(model)
    if ours == list(tags):
        return
    if all(name.startswith("LABEL_") for name in ours):
        raise ValueError(
            f"the model's labels have no names ({ours[0]}, ...); say what they are in its config (id2label), or train a new head"
        )
    suggested = map_by_name(types_of(ours), types_of(tags)).describe()
    raise ValueError(
        f"the model tags {', '.join(ours)} and the data {', '.join(tags)}: its head does not speak of them. Give --strategy "
        f"mapped_head, for which names suggest the map {suggested} (another one: --map FILE), or --strategy fresh_head"
    )


def check_numbers(model: PreTrainedModel, tags: Sequence[str]) -> None:
    """Refuses a head that has not a label for each number of the data's tags; what the labels mean is not asked.

    Raises:
        ValueError: that says what transformers would do with it.
    """
    if model.config.num_labels < len(tags):
        raise ValueError(
            f"the model has {model.config.num_labels} labels and the data {len(tags)} tags, so there is no mismatched head to train: "
            "transformers refuses to load it, or throws all its rows away (ignore_mismatched_sizes), which is --strategy fresh_head"
        )


@torch.no_grad()
def replace_head(
    model: PreTrainedModel,
    tags: Sequence[str],
    label_map: LabelMap | None = None,
    new: Literal["related", "fresh"] = "related",
) -> PreTrainedModel:
    """A head for other tags, in place.

    The row of a target tag is the mean of the rows of the source tags that become it: same letter (or the nearest that the source's scheme
    has), types by the map. `O` stays `O`.

    Args:
        model: with the source's tags in its config.
        tags: of the target, in its order; `id2label` and `label2id` become these.
        label_map: None for a head that is new altogether.
        new: where rows of types begin that no source type becomes: at the source type that they are `related` to, if any, or `fresh`.

    Returns:
        The model.
    """
    name, old = find_head(model)
    source = {split_tag(tag): number for number, tag in enumerate(tags_of(model))} if label_map else {}
    head = nn.Linear(
        old.in_features, len(tags), bias=old.bias is not None, device=old.weight.device, dtype=old.weight.dtype
    )
    nn.init.normal_(head.weight, std=getattr(model.config, "initializer_range", 0.02))
    if head.bias is not None:
        nn.init.zeros_(head.bias)
    for number, tag in enumerate(tags):
        rows = source_rows(tag, source, label_map, new) if label_map else []
        if rows:
            head.weight[number] = old.weight[rows].mean(0)
            if head.bias is not None:
                head.bias[number] = old.bias[rows].mean()
    model.set_submodule(name, head)
    model.config.id2label = dict(enumerate(tags))
    model.config.label2id = {tag: number for number, tag in enumerate(tags)}
    model.num_labels = len(tags)
    return model


def source_rows(tag: str, source: dict[tuple[str, str], int], label_map: LabelMap, new: str) -> list[int]:
    """The rows of the old head that a tag's row is the mean of."""
    letter, kind = split_tag(tag)
    if tag == "O":
        return [source["O", ""]] if ("O", "") in source else []
    if new == "fresh" and kind in label_map.new:
        return []
    found = (
        next((source[near, other] for near in NEAREST[letter] if (near, other) in source), None)
        for other in label_map.sources_of(kind)
    )
    return [row for row in found if row is not None]
