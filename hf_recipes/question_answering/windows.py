"""What a reader is trained and judged on: windows of question and context, padded in batches, and their best spans put together again by
question."""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from datasets import Dataset, Features, List, Value
from sklearn.metrics import log_loss
from transformers import PreTrainedTokenizerFast

from ..answers import AnswerScores, score_answers
from .pipeline_question_answering import KEPT, MAX_ANSWER, best_spans, encode_pairs, score_spans, spans_of, trim

logger = logging.getLogger(__name__)

TEMPERATURES = tuple(round(2 ** (step / 6), 3) for step in range(-8, 13))  # 0.4 to 4
NOWHERE = -1e9  # the score of what is not in a window: minus infinity would not go through means


def make_windows(
    split: Dataset,
    tokenizer: PreTrainedTokenizerFast,
    *,
    max_length: int,
    stride: int,
    part: int = 0,
    training: bool = False,
) -> Dataset:
    """Windows of `encode_pairs` for rows of `load_questions`, with `start_positions` and `end_positions`: the first and last token of the
    first answer, or the first token of the window (0) where the answer is not in it; and `aligned`, whether these tokens are the answer.

    Answers that no span of tokens is equal to, or that no window holds whole, are counted in the log; their questions are left out of the
    training.

    Args:
        split: the rows.
        tokenizer: a fast one.
        max_length, stride: of the windows.
        part: a number by which windows of several splits are told apart.
        training: leave out what cannot be learned from.
    """
    windows = split.map(
        partial(
            window_batch,
            tokenizer=tokenizer,
            max_length=max_length,
            stride=stride,
            part=part,
        ),
        batched=True,
        with_indices=True,
        remove_columns=split.column_names,
        features=window_features(tokenizer),
        desc="Tokens",
    )
    aligned, examples = np.array(windows["aligned"][:], bool), np.array(windows["example"][:])
    answered = np.flatnonzero([bool(texts) for texts in split["answers"][:]])
    wrong = np.setdiff1d(answered, examples[aligned])
    if len(wrong):
        row = split[int(wrong[0])]
        logger.warning(
            "%d of %d answers are no whole tokens of a window, such as %r in row %d%s",
            *(
                len(wrong),
                len(split),
                row["answers"][0],
                row["index"],
                "; their questions are left out" if training else "",
            ),
        )
        if training:
            windows = windows.select(np.flatnonzero(~np.isin(examples, wrong)))
    return windows


def window_features(tokenizer: PreTrainedTokenizerFast) -> Features:
    """Of the rows of `make_windows`, in small numbers: there are many tokens."""
    by_token = {"input_ids": "int32", "attention_mask": "int8", "token_type_ids": "int8", "in_context": "int8"}
    lists = {
        name: List(Value(kind))
        for name, kind in by_token.items()
        if name in (*tokenizer.model_input_names, "in_context")
    }
    numbers = ("start_positions", "end_positions", "example", "part", "length")
    return Features(
        lists
        | {"offsets": List(List(Value("int32"))), "aligned": Value("bool")}
        | {name: Value("int32") for name in numbers}
    )


def window_batch(
    rows: dict[str, list],
    indices: list[int],
    tokenizer: PreTrainedTokenizerFast,
    max_length: int,
    stride: int,
    part: int,
) -> dict[str, list]:
    windows = encode_pairs(tokenizer, rows["question"], rows["context"], max_length, stride)
    new: dict[str, list] = {name: [] for name in ("start_positions", "end_positions", "aligned")}
    for window, example in enumerate(windows["example"]):
        context, offsets, start, end = rows["context"][example], windows["offsets"][window], 0, 0
        if rows["answers"][example]:
            start = rows["starts"][example][0]
            start, end = trim(context, start, start + len(rows["answers"][example][0]))
        first, last = find_tokens(offsets, windows["in_context"][window], start, end)
        new["start_positions"].append(first)
        new["end_positions"].append(last)
        new["aligned"].append(
            first > 0 and context[offsets[first][0] : offsets[last][1]].split() == context[start:end].split()
        )
    windows |= new
    windows["example"] = [indices[example] for example in windows["example"]]
    windows["part"] = [part] * len(windows["example"])
    windows["length"] = [len(ids) for ids in windows["input_ids"]]
    return windows


def find_tokens(offsets: list[list[int]], in_context: list[int], start: int, end: int) -> tuple[int, int]:
    """The first and the last token of the characters `start` to before `end` of the context, or (0, 0) where not all are in the window."""
    places = [place for place, inside in enumerate(in_context) if inside]
    if start == end or not places or offsets[places[0]][0] > start or offsets[places[-1]][1] < end:
        return 0, 0
    first = next(place for place in places if offsets[place][1] > start)
    last = next(place for place in reversed(places) if offsets[place][0] < end)
    return first, last


class WindowCollator:
    """Pads the windows of a batch to the longest of them, on the right, so that places stay what they are.

    Args:
        tokenizer: of the windows.
        length: pad to so many tokens instead.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, length: int | None = None):
        self.tokenizer, self.length = tokenizer, length

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        names = [name for name in self.tokenizer.model_input_names if name in rows[0]]
        to = {"padding": "max_length", "max_length": self.length} if self.length else {}
        batch = dict(
            self.tokenizer.pad(
                [{name: row[name] for name in names} for row in rows], padding_side="right", return_tensors="pt", **to
            )
        )
        length = batch["input_ids"].shape[1]
        for name, nothing in (("in_context", 0), ("offsets", [0, 0])):
            batch[name] = torch.tensor([row[name] + [nothing] * (length - len(row[name])) for row in rows])
        for name in ("start_positions", "end_positions", "aligned", "example", "part"):
            batch[name] = torch.tensor([row[name] for row in rows])
        return batch


def make_reduce(max_answer: int = MAX_ANSWER) -> Callable[[dict, Any], tuple[dict, dict]]:
    """A function from a batch and the model's outputs to rows that are small: see `Answers`."""

    def reduce(batch: dict, outputs: Any) -> tuple[dict, dict]:
        start, end = outputs["start_logits"].float(), outputs["end_logits"].float()
        inside = batch["in_context"].bool()
        scores = score_spans(start, end, inside, max_answer)
        best, places = best_spans(scores, KEPT)
        naive = torch.stack([each.argmax(1) for each in (start, end)], -1)
        first, last = batch["start_positions"], batch["end_positions"]
        losses = [
            torch.nn.functional.cross_entropy(logits, place, reduction="none")
            for logits, place in ((start, first), (end, last))
        ]
        rows = {
            "scores": best.clamp(min=NOWHERE),
            "spans": spans_of(places, batch["offsets"]),
            "null": start[:, 0] + end[:, 0],
            "held": batch["aligned"] & (last - first < max_answer),
            "partitions": torch.stack([(scores / t).flatten(1).logsumexp(1) for t in TEMPERATURES], 1),
            "naive": spans_of(naive[:, None], batch["offsets"])[:, 0],
            "loss": torch.stack(losses).mean(0),
        }
        return rows, {"example": batch["example"], "part": batch["part"], "begin": begin_of(batch)}

    return reduce


def begin_of(batch: dict) -> torch.Tensor:
    """`(windows,)`: the character of the context at which a window begins."""
    return batch["offsets"][..., 0].masked_fill(batch["in_context"] == 0, torch.iinfo(torch.int64).max).min(1).values


class Answers(NamedTuple):
    """What the windows say of each question, from rows of `make_reduce`.

    Args:
        texts: the best answers, empty where there is none.
        spans: `(questions, 2)`, where they are in their contexts.
        best, partitions: `(questions, len(TEMPERATURES))`, logarithms of sums of exponentials of scores at each temperature: of the best
            span in all windows, and of all spans.
        held: `(questions,)`, whether tokens of a window are the first annotated answer, and it is no longer than answers may be.
        margin: `(questions,)`, the best span's score less that of no answer (Devlin et al. 2019).
        windows: `(questions,)`, how many there are.
    """

    texts: list[str]
    spans: np.ndarray
    best: np.ndarray
    partitions: np.ndarray
    held: np.ndarray
    margin: np.ndarray
    windows: np.ndarray


def join_windows(evaluation: Any, contexts: list[str], may_be_none: bool = False) -> Answers:
    """The best span over all windows of each question.

    Args:
        evaluation: predictions and references of all windows, in any order.
        contexts: of the questions.
        may_be_none: whether some have no answer: the least score of none over the windows then competes with the best span's.
    """
    rows, owners = evaluation.predictions, evaluation.label_ids["example"].astype(int)
    chosen = np.full(len(contexts), -1)  # the window with the best span
    for window in np.argsort(rows["scores"][:, 0], kind="stable"):
        chosen[owners[window]] = window
    if (chosen < 0).any():
        raise ValueError(f"question {int(np.argmin(chosen))} has no window in this evaluation")
    places, scores = rows["spans"][chosen, 0].astype(int), rows["scores"][chosen, 0]
    spans = np.array([trim(context, *place) for context, place in zip(contexts, places.tolist())]).reshape(-1, 2)
    copies = (rows["spans"] == places[owners][:, None]).all(-1)  # of the best span, among those that each window keeps
    best, partitions = np.full((2, len(contexts), len(TEMPERATURES)), -np.inf)
    of_copies = rows["scores"][copies].astype(float)[:, None] / np.array(TEMPERATURES)
    np.logaddexp.at(best, owners[np.nonzero(copies)[0]], of_copies)
    np.logaddexp.at(partitions, owners, rows["partitions"].astype(float))
    null = np.full(len(contexts), np.inf)
    np.minimum.at(null, owners, rows["null"].astype(float))
    if may_be_none:
        none = null[:, None] / np.array(TEMPERATURES)
        partitions, without = np.logaddexp(partitions, none), null > scores
        spans[without], best[without] = 0, none[without]
    return Answers(
        texts=[context[start:end] for context, (start, end) in zip(contexts, spans)],
        spans=spans,
        best=best,
        partitions=partitions,
        held=np.bincount(owners, rows["held"], minlength=len(contexts)) > 0,
        margin=scores - null,
        windows=np.bincount(owners, minlength=len(contexts)),
    )


def fit_temperature(answers: Answers, right: np.ndarray) -> float:
    """That of `TEMPERATURES` at which the probabilities of the best answers tell best which of them are right, by the log loss (Guo et al.
    2017, for answers instead of classes).

    Args:
        answers: to the validation questions.
        right: of `are_first`.
    """
    losses = [log_loss(right, probabilities(answers, temperature), labels=[0, 1]) for temperature in TEMPERATURES]
    return TEMPERATURES[int(np.argmin(losses))]


def are_first(answers: Answers, golds: list[list[str]]) -> np.ndarray:
    """`(questions,)`: 1 where an answer is the first annotated one. Some data have one annotation in training and several in the test;
    a probability is of one of them."""
    return score_answers(answers.texts, [texts[:1] for texts in golds])[0]


def probabilities(answers: Answers, temperature: float) -> np.ndarray:
    """`(questions,)`: of the best answers."""
    place = TEMPERATURES.index(temperature)
    return np.exp(np.minimum(answers.best[:, place] - answers.partitions[:, place], 0))


def make_compute(splits: dict[int, Dataset], validation: int) -> Callable[[Any], dict[str, float]]:
    """A function from rows of `make_reduce` to exact match, F1 and the mean loss of a window, and, on the validation questions, the
    temperature of the scores.

    Args:
        splits: rows of `load_questions`, by the `part` of their windows.
        validation: the part of the validation questions.
    """

    def compute(evaluation: Any) -> dict[str, float]:
        part = int(evaluation.label_ids["part"][0])
        golds = splits[part]["answers"][:]
        answers = join_windows(evaluation, splits[part]["context"][:], may_be_none=not all(golds))
        scores = AnswerScores().compute(predictions=answers.texts, references=golds)
        scores["loss"] = float(evaluation.predictions["loss"].mean())
        if part == validation:
            scores["temperature"] = fit_temperature(answers, are_first(answers, golds))
        return scores

    return compute
