"""The answer to a question as a span of a context, in one call. This file travels to the Hub with the weights."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from transformers import PreTrainedTokenizerFast
from transformers.pipelines.base import ChunkPipeline

MAX_LENGTH, STRIDE, MAX_QUESTION, MAX_ANSWER = 384, 128, 64, 30  # in tokens
KEPT = 5  # spans of each window at least: one that stands in two windows may be the best of one of them only


class QuestionAnsweringPipeline(ChunkPipeline):
    """Answers questions by spans of contexts (task `question-answering`), with any extractive model.

    ```python
    >>> answer = pipeline("question-answering", model="me/reader", trust_remote_code=True)
    >>> answer(question="Who wrote it?", context="Grete Hermann wrote it in 1926.")
    {'score': 0.97, 'start': 0, 'end': 13, 'answer': 'Grete Hermann'}
    ```

    A call takes `question=` and `context=`, each a text or a list of as many, or one text for all of the other; or a dictionary with both,
    or a list, data set or generator of such. Contexts longer than the model reads at once are read in windows that overlap, and the best span
    of all windows is the answer: `context[start:end] == answer`.

    Answers are in the order of their best window (Devlin et al. 2019). The score is the probability of the span among all spans of all windows, its copies in several windows together, at the temperature that the recipe fitted on validation questions
    (`config.answer_temperature`; 1 where there is none). Windows and answers are as long as those that the model was tested with
    (`config.answer_window`, `config.answer_stride`, `config.answer_length`), or as BERT's authors had them.

    Args of a call:
        top_k (`int`): answers to give, the best first; a list where it is more than 1.
        max_answer_length (`int`): most tokens of an answer.
        handle_impossible_answer (`bool`): give an empty answer where the model finds none more likely than any span. For models that were
            trained on questions without answers.
        max_length (`int`): tokens of a window; stride (`int`): tokens of the context that windows share.
        max_windows (`int`): an error for contexts that need more of them.
        batch_size (`int`): windows at a time.
    """

    _load_processor = False
    _load_image_processor = False
    _load_feature_extractor = False
    _load_tokenizer = True

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.model.eval()

    def __call__(self, *args, question: Any = None, context: Any = None, **kwargs) -> Any:
        if question is None and context is None:
            rows = args[0] if len(args) == 1 else None
            if hasattr(rows, "column_names"):  # a data set of `datasets`
                args = ([{"question": row["question"], "context": row["context"]} for row in rows],)
            return [] if rows == [] else super().__call__(*args, **kwargs)
        if args or question is None or context is None:
            raise ValueError("give question= and context= together, or dictionaries that hold both")
        alone = isinstance(question, str) and isinstance(context, str)
        questions, contexts = ([each] if isinstance(each, str) else list(each) for each in (question, context))
        questions, contexts = (
            each * len(other) if len(each) == 1 else each
            for each, other in ((questions, contexts), (contexts, questions))
        )
        if not questions and not contexts:
            return []
        if len(questions) != len(contexts):
            raise ValueError(f"{len(questions)} questions and {len(contexts)} contexts; give as many, or one of them")
        pairs = [{"question": each, "context": other} for each, other in zip(questions, contexts)]
        return super().__call__(pairs[0] if alone else pairs, **kwargs)

    def _sanitize_parameters(
        self,
        top_k=None,
        max_answer_length=None,
        handle_impossible_answer=None,
        max_length=None,
        stride=None,
        max_windows=None,
    ) -> tuple[dict, dict, dict]:
        for name, value in (("top_k", top_k), ("max_answer_length", max_answer_length), ("max_windows", max_windows)):
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}; it is at least 1")
        windows = {"max_length": max_length, "stride": stride, "max_windows": max_windows}
        spans = {"top_k": top_k, "max_answer_length": max_answer_length}
        chosen = {"top_k": top_k, "handle_impossible_answer": handle_impossible_answer}
        return tuple(
            {name: value for name, value in each.items() if value is not None} for each in (windows, spans, chosen)
        )

    def preprocess(
        self,
        inputs: dict[str, str],
        max_length: int | None = None,
        stride: int | None = None,
        max_windows: int = 1000,
    ):
        for name in ("question", "context"):
            text = inputs.get(name) if isinstance(inputs, dict) else None
            if not isinstance(text, str) or not text.strip():
                raise ValueError(
                    f"the {name} is {text!r}; a dictionary with a question and a context that are not empty is needed"
                )
        question, context = inputs["question"], inputs["context"]
        config = self.model.config
        if max_length is None:
            max_length = getattr(config, "answer_window", MAX_LENGTH)
            stride = getattr(config, "answer_stride", None) if stride is None else stride
        # a model may read less at once; XLNet's -1 is no limit
        limits = (self.tokenizer.model_max_length, getattr(config, "max_position_embeddings", None))
        max_length = min(max_length, *(limit for limit in limits if limit and limit > 0))
        stride = max(0, min(STRIDE, (max_length - MAX_QUESTION) // 2)) if stride is None else stride
        windows = encode_pairs(self.tokenizer, [question], [context], max_length, stride)
        number = len(windows["input_ids"])
        if not any(map(any, windows["in_context"])):
            raise ValueError(f"the context {context[:40]!r} holds no token for this model")
        if number > max_windows:
            raise ValueError(
                f"the context needs {number} windows of {max_length} tokens, more than max_windows={max_windows}"
            )
        del windows["example"]
        for window in range(number):
            inputs = {name: torch.tensor([values[window]]) for name, values in windows.items()}
            yield {**inputs, "context": context, "is_last": window == number - 1}

    def _forward(self, model_inputs: dict, top_k: int = 1, max_answer_length: int | None = None) -> dict[str, Any]:
        """What is likely in each window, so that nothing as large as its logits is kept."""
        kept = {name: model_inputs.pop(name) for name in ("offsets", "in_context", "context", "is_last")}
        outputs = self.model(**model_inputs)
        most = max_answer_length or getattr(self.model.config, "answer_length", MAX_ANSWER)
        scores = score_spans(outputs.start_logits.float(), outputs.end_logits.float(), kept["in_context"].bool(), most)
        best, places = best_spans(scores, max(top_k, KEPT))
        temperature = getattr(self.model.config, "answer_temperature", 1.0)
        first = model_inputs["attention_mask"].int().argmax(1, keepdim=True)
        null = (outputs.start_logits.gather(1, first) + outputs.end_logits.gather(1, first)).float()
        return {
            "scores": best,
            "spans": spans_of(places, kept["offsets"]),
            "null": null,
            "partition": (scores / temperature).flatten(1).logsumexp(1, keepdim=True),
            "context": kept["context"],
            "is_last": kept["is_last"],
        }

    def postprocess(
        self, windows: list[dict], top_k: int = 1, handle_impossible_answer: bool = False
    ) -> dict[str, Any] | list[dict[str, Any]]:
        context = windows[0]["context"]
        context = context if isinstance(context, str) else context[0]
        temperature = getattr(self.model.config, "answer_temperature", 1.0)
        best: dict[tuple[int, int], float] = {}  # of the copies of a span in several windows
        weight: dict[tuple[int, int], float] = {}  # logarithm of the sum of all copies
        for window in windows:
            for score, place in zip(window["scores"].flatten().tolist(), window["spans"].reshape(-1, 2).tolist()):
                if score > -float("inf"):
                    span = trim(context, *place)
                    best[span] = max(score, best.get(span, score))
                    weight[span] = add_logs(score / temperature, weight.get(span))
        partition = torch.cat([window["partition"].flatten() for window in windows]).logsumexp(0).item()
        if handle_impossible_answer:
            null = min(window["null"].flatten().min().item() for window in windows)
            best[0, 0], weight[0, 0] = null, null / temperature
            partition = add_logs(partition, null / temperature)
        answers = [
            {
                "score": min(1.0, math.exp(weight[start, end] - partition)),  # rounding may make it 1 and a little
                "start": start,
                "end": end,
                "answer": context[start:end],
            }
            for start, end in sorted(best, key=best.get, reverse=True)[:top_k]
        ]
        return answers if top_k > 1 else answers[0]


def add_logs(first: float, second: float | None) -> float:
    """log(exp(first) + exp(second)); the first where there is no second."""
    if second is None:
        return first
    return max(first, second) + math.log1p(math.exp(-abs(first - second)))


def encode_pairs(
    tokenizer: PreTrainedTokenizerFast,
    questions: Sequence[str],
    contexts: Sequence[str],
    max_length: int = MAX_LENGTH,
    stride: int = STRIDE,
) -> dict[str, list]:
    """Windows of tokens, each a question and a part of its context, one at least for each pair.

    Questions longer than 64 tokens are cut, as BERT's authors did (Devlin et al. 2019).

    Args:
        tokenizer: a fast one.
        questions, contexts: as many.
        max_length: tokens of a window.
        stride: tokens of the context that windows share.

    Returns:
        By window: the tokenizer's inputs; `in_context`, whether a token is one of the context; `offsets`, the characters of the context
        that it stands for, (0, 0) for all others; and `example`, the number of the pair.

    Raises:
        ValueError: when so short windows cannot share so many tokens, or for a tokenizer that does not know where its tokens are.
    """
    if not tokenizer.is_fast:
        raise ValueError(
            f"{type(tokenizer).__name__} does not say where its tokens are in the text; a fast tokenizer is needed"
        )
    room = max_length - MAX_QUESTION - tokenizer.num_special_tokens_to_add(pair=True)
    if not 0 <= stride < room:
        raise ValueError(
            f"windows of {max_length} tokens leave {max(room, 0)} for the context beside a question of {MAX_QUESTION}, so that they cannot "
            f"share {stride}; give a longer max_length or a smaller stride"
        )
    encoded = tokenizer(
        [shorten(tokenizer, question.lstrip()) for question in questions],
        list(contexts),
        truncation="only_second",
        max_length=max_length,
        stride=stride,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    offsets, owners = encoded.pop("offset_mapping"), encoded.pop("overflow_to_sample_mapping")
    windows = {name: list(values) for name, values in encoded.items()}
    windows["in_context"] = [[int(part == 1) for part in encoded.sequence_ids(n)] for n in range(len(offsets))]
    windows["offsets"] = [
        [list(place) if inside else [0, 0] for place, inside in zip(*both)]
        for both in zip(offsets, windows["in_context"])
    ]
    windows["example"] = list(owners)
    return windows


def shorten(tokenizer: PreTrainedTokenizerFast, question: str) -> str:
    if len(question.encode()) <= MAX_QUESTION:  # no token is shorter than a byte
        return question
    offsets = tokenizer(question, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    return question[: offsets[MAX_QUESTION - 1][1]] if len(offsets) > MAX_QUESTION else question


def score_spans(
    start_logits: torch.Tensor, end_logits: torch.Tensor, in_context: torch.Tensor, max_answer: int
) -> torch.Tensor:
    """`(windows, tokens, max_answer)`: the score of the span that begins at a token and has 1, 2, ... tokens; minus infinity where it would
    leave the context.

    Args:
        start_logits, end_logits: `(windows, tokens)`.
        in_context: `(windows, tokens)`, which tokens an answer may consist of.
        max_answer: most tokens of an answer.
    """
    nowhere = -torch.inf
    start = start_logits.masked_fill(~in_context, nowhere)
    end = end_logits.masked_fill(~in_context, nowhere)
    ends = torch.nn.functional.pad(end, (0, max_answer - 1), value=nowhere).unfold(1, max_answer, 1)
    return start[:, :, None] + ends


def best_spans(scores: torch.Tensor, number: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores `(windows, number)` and first and last tokens `(windows, number, 2)` of the best spans, from `score_spans`."""
    lengths = scores.shape[2]
    best, places = scores.flatten(1).topk(min(number, scores[0].numel()))
    first = places.div(lengths, rounding_mode="floor")
    return best, torch.stack([first, first + places % lengths], -1)


def spans_of(places: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
    """`(windows, number, 2)`: where spans begin and end in characters of the context, from their first and last tokens.

    Args:
        places: `(windows, number, 2)`.
        offsets: `(windows, tokens, 2)`, of `encode_pairs`.
    """
    last = offsets.shape[1] - 1
    first, end = places[..., 0], places[..., 1].clamp(max=last)  # spans of score minus infinity may leave the window
    return torch.stack([offsets[..., 0].gather(1, first), offsets[..., 1].gather(1, end)], -1)


def trim(text: str, start: int, end: int) -> tuple[int, int]:
    """A span without the spaces that some tokenizers count to their tokens."""
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    return start, end
