"""The head of a tagger taken apart by its labels and put together for others: nothing is reused by number alone."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Literal

import torch
from torch import nn
from transformers import PreTrainedModel

from ..pretrained import find_head
from .labels import LabelMap, map_by_name, tag_names, types_of
from .schemes import find_scheme, split_tag

# the letters of other schemes whose words IOB2 calls B, and those that it calls I
COVERED = {"B": ("B", "S", "U"), "I": ("I", "E", "L")}


def tags_of(model: PreTrainedModel) -> list[str]:
    """The tags of a model's head, by number.

    Raises:
        ValueError: when they have no names, as those of an encoder that is no tagger.
    """
    names = [model.config.id2label[number] for number in range(model.config.num_labels)]
    if "O" not in names and not all(name.startswith("LABEL_") for name in names):
        raise ValueError(
            f"the model's labels are {', '.join(names[:6])}: none of them is O, what is no entity; rename that one in its config (id2label)"
        )
    if all(name.startswith("LABEL_") for name in names):
        raise ValueError(
            f"the model's labels have no names ({names[0]}, ...): it is no tagger, or one that does not say what its labels are. Say it in "
            "its config (id2label), or train a new head (--strategy fresh_head)"
        )
    for name in names:
        try:
            split_tag(name)
        except ValueError as error:
            raise ValueError(f"the model's label {error}; rename it in its config (id2label)") from error
    return names


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

    The row of a target tag is the mean of the rows of the source tags that become it: types by the map, letters by what they cover (`B` is
    `S` and `U` as well, `I` is `E` and `L`; from IO, both are `I`). `O` stays `O`. Where several tags come from the same rows, they share
    their probability by their biases, so that together they are as likely as the source's one tag was, or, where several rows are meant, as their
    mean.

    Args:
        model: with the source's tags in its config.
        tags: of the target, in its order and in IOB2; `id2label`, `label2id` and `tag_scheme` of the config say so.
        label_map: None for a head that is new altogether.
        new: where rows of types begin that no source type becomes: at the source type that they are `related` to, if any, or `fresh`.

    Returns:
        The model.
    """
    name, old = find_head(model)
    source: dict[tuple[str, str], list[int]] = {}  # several labels may have one name
    for number, tag in enumerate(tags_of(model) if label_map else []):
        source.setdefault(split_tag(tag), []).append(number)
    head = nn.Linear(
        old.in_features, len(tags), bias=old.bias is not None, device=old.weight.device, dtype=old.weight.dtype
    )
    nn.init.normal_(head.weight, std=getattr(model.config, "initializer_range", 0.02))
    if head.bias is not None:
        nn.init.zeros_(head.bias)
    rows_of = [source_rows(tag, source, label_map, new) if label_map else [] for tag in tags]
    shared = Counter(map(tuple, rows_of))
    for number, rows in enumerate(rows_of):
        if rows:
            head.weight[number] = old.weight[rows].mean(0)
            if head.bias is not None:
                head.bias[number] = old.bias[rows].mean() - math.log(shared[tuple(rows)])
    model.set_submodule(name, head)
    model.config.id2label = dict(enumerate(tags))
    model.config.label2id = {tag: number for number, tag in enumerate(tags)}
    model.config.tag_scheme = "IOB2"  # B and I alone do not tell
    model.num_labels = len(tags)
    return model


def source_rows(tag: str, source: dict[tuple[str, str], list[int]], label_map: LabelMap, new: str) -> list[int]:
    """The rows of the old head that a tag's row is the mean of."""
    letter, kind = split_tag(tag)
    if tag == "O":
        return source["O", ""][:1]  # further ones are types that a map dropped
    if new == "fresh" and kind in label_map.new:
        return []
    rows = []
    for other in label_map.sources_of(kind):
        own = [row for near in COVERED[letter] for row in source.get((near, other), [])]
        rows += own or [row for each in COVERED.values() for near in each for row in source.get((near, other), [])]
    return rows


@torch.no_grad()
def rename_labels(model: PreTrainedModel, label_map: LabelMap) -> PreTrainedModel:
    """The same head under the map's names, in place: nothing that it answers changes but what it is called. Several labels may be `O`; where
    each of the target's tags is one label's, they come in the target's order. The letters of BIOES and BILOU become those of IOB2, which
    alone the stock pipeline reads."""
    letters = {near: letter for letter, each in COVERED.items() for near in each}
    old = tags_of(model)
    names = [label_map.map_tag(tag) for tag in old]
    if find_scheme(old) in ("BIOES", "BILOU"):
        names = [tag if tag == "O" else f"{letters[tag[0]]}{tag[1:]}" for tag in names]
        model.config.tag_scheme = "IOB2"
    tags = tag_names(label_map.target)
    if sorted(names) == sorted(tags):
        _, head = find_head(model)
        order = [names.index(tag) for tag in tags]
        for values in head.parameters():
            values.copy_(values[order])
        names = tags
    model.config.id2label = dict(enumerate(names))
    model.config.label2id = {name: names.index(name) for name in names}
    return model
