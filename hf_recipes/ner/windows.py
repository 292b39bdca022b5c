"""What a tagger is trained and judged on: windows of tokens, padded in batches, and its answers put together again by word."""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import regex
import torch
from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from ..pretrained import longest_window
from .alignment import IGNORED, align_sentences, dropped_words, join_windows
from .decoding import name_scores, scheme_of
from .head import tags_of
from .labels import LabelMap
from .metrics import EntityScores
from .schemes import parse_tags

logger = logging.getLogger(__name__)


def make_windows(
    split: Dataset,
    tags: list[str] | None,
    tokenizer: PreTrainedTokenizerFast,
    *,
    max_length: int = 128,
    stride: int = 32,
    label_all: bool = True,
    joined: bool = False,
    part: int = 0,
) -> Dataset:
    """Rows of `align_sentences` for a split with `words` and `tags`; `sentence` holds rows of the split, `length` is that of a window, and
    `part` a number by which windows of several splits are told apart. Words that the tokenizer drops are counted in the log: nothing is
    learned from them, and the answer for them is `O`.

    Args:
        split: the sentences.
        tags: by number, for the labels; None where nothing is learned and the labels are ignored.
        tokenizer: a fast one.
        max_length, stride, joined: of `align_sentences`.
        label_all: learn from every token of a word and not from its first alone; its further ones are inside of its entity (`I-`).
        part: the number.
    """
    numbers = {tag: number for number, tag in enumerate(tags)} if tags else None
    continued = [numbers.get(f"I-{tag[2:]}", numbers[tag]) for tag in tags] if tags and label_all else None
    windows = split.map(
        partial(
            window_batch,
            numbers=numbers,
            tokenizer=tokenizer,
            max_length=max_length,
            stride=stride,
            continued=continued,
            joined=joined,
            part=part,
        ),
        batched=True,
        with_indices=True,
        remove_columns=split.column_names,
        desc="Tokens",
    )
    dropped = dropped_words([len(words) for words in split["words"]], windows["word"], windows["sentence"])
    if dropped:
        row, place = dropped[0]
        logger.warning(
            "%d words have no token and are O, such as word %d of row %d, %r",
            *(len(dropped), place, split[row]["index"], split[row]["words"][place]),
        )
    return windows


def window_batch(
    rows: dict[str, list], indices: list[int], numbers: dict[str, int] | None, tokenizer, part: int, **options
) -> dict[str, list]:
    labels = [[numbers[tag] if numbers else IGNORED for tag in tags] for tags in rows["tags"]]
    windows = align_sentences(rows["words"], labels, tokenizer, **options)
    windows["sentence"] = [
        [IGNORED if each == IGNORED else indices[each] for each in row] for row in windows["sentence"]
    ]
    told = [row for row, words in enumerate(windows["word"]) if any(word != IGNORED for word in words)]
    windows = {name: [values[row] for row in told] for name, values in windows.items()}  # the others answer for no word
    windows["part"] = [part] * len(windows["sentence"])
    windows["length"] = [len(ids) for ids in windows["input_ids"]]
    return windows


def tag_sentences(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    sentences: list[list[str]],
    label_map: LabelMap | None = None,
    **options,
) -> list[list[str]]:
    """What a model calls the words of sentences, by its own names or those of a map, in IOB2 whatever its scheme; options of
    `score_sentences`."""
    names = [label_map.map_tag(tag) if label_map else tag for tag in tags_of(model)]
    return name_scores(score_sentences(model, tokenizer, sentences, **options), names, scheme_of(model))


@torch.no_grad()
def score_sentences(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    sentences: list[list[str]],
    *,
    batch_size: int = 32,
    max_length: int = 128,
    stride: int = 32,
) -> list[np.ndarray]:
    """The logits `(words, labels)` of each sentence; a word that the tokenizer drops can only be `O`.

    Windows are as long as `max_length`, or as the model can read; then a quarter of them is shared at most.
    """
    longest = longest_window(model.config, tokenizer)
    if max_length > longest:
        max_length, stride = longest, min(stride, longest // 4)
    windows = align_sentences(
        sentences, [[0] * len(words) for words in sentences], tokenizer, max_length=max_length, stride=stride
    )
    rows = [dict(zip(windows, values)) | {"part": 0} for values in zip(*windows.values())]
    order, collate = np.argsort([len(row["input_ids"]) for row in rows], kind="stable"), WindowCollator(tokenizer)
    logits, words, owners = [], [], []  # by window
    for start in range(0, len(order), batch_size):
        batch = collate([rows[place] for place in order[start : start + batch_size]])
        inputs = {name: batch[name].to(model.device) for name in tokenizer.model_input_names if name in batch}
        logits.extend(model(**inputs).logits.float().cpu().numpy())
        words.extend(batch["word"].numpy())
        owners.extend(batch["sentence"].numpy())
    return join_windows(logits, words, owners, [len(each) for each in sentences], only_outside(tags_of(model)))


def find_entities(
    text: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, label_map: LabelMap | None = None
) -> list[dict[str, Any]]:
    """`type`, `text`, and `start` and `end` in characters of the entities of a text, under the map's types where one is given.

    Words are runs of letters, their marks and digits, with single signs inside as in O'Brien, Jean-Luc and U.S; all other characters stand by
    themselves.
    """
    places = [match.span() for match in regex.finditer(r"[\w\p{M}]+(?:[-'’.&/][\w\p{M}]+)*|[^\w\s\p{M}]", text)]
    if not places:
        return []
    (tags,) = tag_sentences(model, tokenizer, [[text[start:end] for start, end in places]], label_map)
    found = []
    for entity in parse_tags(tags):
        start, end = places[entity.start][0], places[entity.end - 1][1]
        found.append({"type": entity.type, "text": text[start:end], "start": start, "end": end})
    return found


class WindowCollator:
    """Pads the windows of a batch to the longest of them.

    Args:
        tokenizer: of the windows.
        learned_length: pad to so many tokens instead, and call padding by label 0, as scripts do that pad labels as they pad tokens.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, learned_length: int | None = None):
        self.tokenizer, self.learned_length = tokenizer, learned_length

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        inputs = [{name: row[name] for name in self.tokenizer.model_input_names if name in row} for row in rows]
        to = {"padding": "max_length", "max_length": self.learned_length} if self.learned_length else {}
        batch = dict(self.tokenizer.pad(inputs, return_tensors="pt", **to))
        length = batch["input_ids"].shape[1]
        left = self.tokenizer.padding_side == "left"
        for name in ("labels", "word", "sentence"):
            label = 0 if self.learned_length and name == "labels" else IGNORED
            padding = [[label] * (length - len(row[name])) for row in rows]
            batch[name] = torch.tensor(
                [pad + row[name] if left else row[name] + pad for pad, row in zip(padding, rows)], dtype=torch.long
            )
        batch["part"] = torch.tensor([row["part"] for row in rows])
        return batch


def reduce_batch(batch: dict, outputs) -> tuple[dict, dict]:
    """The logits of each token, one row per window, and the sum of the loss and the number of the tokens that answer for a word."""
    logits = outputs["logits"].float()
    labels = batch["labels"].masked_fill(batch["word"] == IGNORED, IGNORED)
    losses = torch.nn.functional.cross_entropy(logits.transpose(1, 2), labels, ignore_index=IGNORED, reduction="none")
    sums = torch.stack([losses.sum(1), (labels != IGNORED).sum(1).float()], 1)
    references = {name: batch[name] for name in ("word", "sentence", "part")}
    return {"logits": logits, "losses": sums}, references


def only_outside(names: list[str]) -> np.ndarray:
    """Logits of a word that can only be `O`."""
    return np.where(np.arange(len(names)) == names.index("O"), 0.0, -np.inf)


def scores_of(evaluation: Any, split: Dataset, names: list[str]) -> list[np.ndarray]:
    """The logits `(words, labels)` of each sentence, from the rows of `reduce_batch`.

    Args:
        evaluation: predictions and references.
        split: the sentences.
        names: of the labels by number; words that the tokenizer drops can only be `O`.
    """
    return join_windows(
        evaluation.predictions["logits"],
        evaluation.label_ids["word"],
        evaluation.label_ids["sentence"],
        [len(words) for words in split["words"]],
        only_outside(names),
    )


def make_compute(
    splits: dict[int, Dataset], names: list[str], scheme: str | None = "IOB2"
) -> Callable[[Any], dict[str, float]]:
    """A function from rows of `reduce_batch` to the scores of `EntityScores` and the mean loss of a word, where there are labels.

    Args:
        splits: with `words` and `tags`, by the `part` of their windows.
        names: of the model's labels by number, which need not be those of the splits.
        scheme: of the names, where it is known.
    """

    def compute(evaluation: Any) -> dict[str, float]:
        split = splits[int(evaluation.label_ids["part"][0])]
        found = name_scores(scores_of(evaluation, split, names), names, scheme)
        scores = EntityScores().compute(predictions=found, references=split["tags"])
        loss, words = np.asarray(evaluation.predictions["losses"], float).sum(0)
        return scores | ({"loss": loss / words} if words else {})

    return compute
