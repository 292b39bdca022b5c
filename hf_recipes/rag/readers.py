"""What makes an answer of a question and passages: a model that writes, or one that finds the span."""

import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import jinja2
import regex
import torch
from sentence_transformers import CrossEncoder
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForQuestionAnswering,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
)
from transformers.generation.streamers import BaseStreamer

from ..arguments import has_bf16
from ..pretrained import longest_window
from ..question_answering.pipeline_question_answering import MAX_QUESTION, QuestionAnsweringPipeline
from .grounding import ground

NOTHING = "The text does not say."
PROMPTS = Path(__file__).with_name("prompts")


class Reading(NamedTuple):
    """What a reader says.

    Args:
        answer: its text; empty, or `NOTHING`, where it finds none.
        score: how sure it is, 0 to 1.
        cited: numbers of the passages that it names, and start and end of what it takes from each.
        prompt: what it was asked, for those who want to see it.
    """

    answer: str
    score: float
    cited: list[tuple[int, int, int]]
    prompt: str


class Reader(Protocol):
    least_score: float  # below which an answer is not to be believed, where nothing better is known
    precision: str  # that it computes in
    most_question: int  # tokens of a question that it reads

    def room(self, question: str, passages: int) -> int:
        """Tokens of so many passages that it can read with a question."""

    def count(self, text: str) -> int:
        """Tokens."""

    def read(self, question: str, passages: Sequence[str], show: Callable[[str], None] | None = None) -> Reading:
        """The answer; what is written is shown piece by piece."""


def says_nothing(answer: str) -> bool:
    """Whether a reader found no answer: by saying nothing, or by saying so."""
    return not answer or NOTHING.lower().rstrip(".") in answer.lower()


def load_reader(model: str, prompt: str = "plain", device: str | None = None) -> "ExtractiveReader | GenerativeReader":
    """The reader that fits a model: one that finds spans, or one that writes.

    Args:
        model: id or folder.
        prompt: of a model that writes.
        device: where it runs.
    """
    if is_extractive(model):
        return ExtractiveReader(model, device)
    return GenerativeReader(model, prompt, device=device)


def load_reranker(model: str, device: str | None = None) -> Callable[[str, Sequence[str]], Sequence[float]]:
    """What scores passages by a question: the span that an extractive reader finds in each, or a cross-encoder.

    Args:
        model: id or folder.
        device: where it runs.
    """
    if is_extractive(model):
        return ExtractiveReader(model, device).rerank
    scorer = CrossEncoder(model, device=device)
    return lambda question, passages: scorer.predict([(question, passage) for passage in passages]).tolist()


def is_extractive(model: str) -> bool:
    config = AutoConfig.from_pretrained(model)
    return any(name.endswith("ForQuestionAnswering") for name in config.architectures or [])


class PassagePipeline(QuestionAnsweringPipeline):
    """The best span of a passage, and how much likelier it is than that the passage holds no answer."""

    def postprocess(self, windows: list[dict], **options) -> dict[str, Any]:
        best = max(window["scores"].max().item() for window in windows)
        none = min(window["null"].min().item() for window in windows)
        temperature = getattr(self.model.config, "answer_temperature", 1.0)
        return super().postprocess(windows, **options) | {"log_odds": (best - none) / temperature}


class ExtractiveReader:
    """The span that is most likelier than no answer, in any of the passages, by any extractive model. An answer that is less likely than
    none is not to be believed.

    Each passage is read by itself, and best span against none compares them (Devlin et al. 2019 for SQuAD 2.0). That means most with a model
    that was trained on passages without an answer, as `recipes/question_answering/passages.yaml` does.

    Args:
        model: id or folder.
        device: where it runs.
    """

    least_score, precision, most_question = 0.5, "fp32", MAX_QUESTION

    def __init__(self, model: str, device: str | None = None):
        self.tokenizer = AutoTokenizer.from_pretrained(model)
        self.pipeline = PassagePipeline(
            model=AutoModelForQuestionAnswering.from_pretrained(model, dtype=torch.float32),
            tokenizer=self.tokenizer,
            device=device,
        )

    def room(self, question: str, passages: int) -> int:
        return sys.maxsize  # long passages go through windows

    def count(self, text: str) -> int:
        return len(self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    def read(self, question: str, passages: Sequence[str], show: Callable[[str], None] | None = None) -> Reading:
        found = self.spans(question, passages)
        if not found:
            return Reading("", 0.0, [], "")
        number, span = max(found.items(), key=lambda each: each[1]["log_odds"])
        if show:
            show(span["answer"])
        score = 1 / (1 + math.exp(-span["log_odds"]))
        return Reading(span["answer"], score, [(number, span["start"], span["end"])], "")

    def rerank(self, question: str, passages: Sequence[str]) -> list[float]:
        """How much likelier the best span of each passage is than no answer, as a logarithm."""
        found = self.spans(question, passages)
        return [found[number]["log_odds"] if number in found else -math.inf for number in range(len(passages))]

    def spans(self, question: str, passages: Sequence[str]) -> dict[int, dict[str, Any]]:
        """The best span of each passage that holds more than spaces."""
        full = [number for number, passage in enumerate(passages) if regex.search(r"[\p{L}\p{N}\p{P}\p{S}]", passage)]
        found = self.pipeline(question=question, context=[passages[number] for number in full]) if full else []
        return {number: span for number, span in zip(full, found) if span["answer"]}


class GenerativeReader:
    """An answer that a language model writes: any chat model, or any encoder-decoder.

    The passages stand in the prompt as data: what looks like the marks around them is taken out of them, so that a passage cannot end
    itself and speak in the prompt's own voice; nothing that a model writes is ever run.

    Args:
        model: id or folder.
        prompt: name of a file in `prompts`, or the path of one's own.
        most: tokens of an answer.
        device: where it runs.

    Raises:
        FileNotFoundError: when there is no such prompt.
    """

    least_score = 0.0  # how likely its words are says little of how true they are
    most_question = 256

    def __init__(self, model: str, prompt: str = "plain", most: int = 120, device: str | None = None):
        self.template = load_prompt(prompt)
        self.marked = "Answer:" in render(self.template, "", [])  # it asks for a line of the answer alone
        self.config = AutoConfig.from_pretrained(model)
        kind = AutoModelForSeq2SeqLM if self.config.is_encoder_decoder else AutoModelForCausalLM
        self.tokenizer = AutoTokenizer.from_pretrained(model)
        on_processor = torch.device(device or "cpu").type == "cpu"
        dtype = "auto" if has_bf16(on_processor) else torch.float32  # bf16 without hardware for it is many times slower
        self.model = kind.from_pretrained(model, dtype=dtype).to(device or "cpu").eval()
        # also those that only the table of added tokens knows, as many that stand between turns
        self.marks = [token.content for token in self.tokenizer.added_tokens_decoder.values() if token.special]
        self.precision = {torch.bfloat16: "bf16", torch.float16: "fp16"}.get(self.model.dtype, "fp32")
        self.most = most

    def room(self, question: str, passages: int) -> int:
        prompt = self.encode(render(self.template, question, [""] * passages, self.marks))["input_ids"].shape[1]
        written = 0 if self.config.is_encoder_decoder else self.most
        return longest_window(self.config, self.tokenizer) - prompt - written

    def count(self, text: str) -> int:
        return len(self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    def read(self, question: str, passages: Sequence[str], show: Callable[[str], None] | None = None) -> Reading:
        prompt = render(self.template, question, passages, self.marks)
        inputs = self.encode(prompt).to(self.model.device)
        streamer = Shown(self.tokenizer, show, not self.config.is_encoder_decoder) if show else None
        with torch.no_grad():
            output = self.model.generate(
                **inputs,
                max_new_tokens=self.most,
                do_sample=False,
                streamer=streamer,
                return_dict_in_generate=True,
                output_scores=True,
                pad_token_id=self.tokenizer.pad_token_id or self.tokenizer.eos_token_id,
            )
        written = output.sequences[0][-len(output.scores) :]
        logs = [torch.log_softmax(scores[0].float(), -1)[token] for scores, token in zip(output.scores, written)]
        score = float(torch.stack(logs).mean().exp()) if logs else 0.0
        text = self.tokenizer.decode(written, skip_special_tokens=True).strip()
        return Reading(take_answer(text, self.marked), score, find_citations(text, passages, question), prompt)

    def encode(self, prompt: str) -> Any:
        if self.tokenizer.chat_template:
            messages = [{"role": "user", "content": prompt}]
            return self.tokenizer.apply_chat_template(
                messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
            )
        return self.tokenizer(prompt, return_tensors="pt")


class Shown(BaseStreamer):
    """Hands on what is written, word by word."""

    def __init__(self, tokenizer: Any, show: Callable[[str], None], skip_prompt: bool):
        self.tokenizer, self.show, self.skip = tokenizer, show, skip_prompt
        self.tokens: list[int] = []
        self.shown = 0

    def put(self, value: torch.Tensor) -> None:
        if self.skip:  # the first that it is given is the prompt
            self.skip = False
            return
        self.tokens += value.flatten().tolist()
        text = self.tokenizer.decode(self.tokens, skip_special_tokens=True)
        if not text.endswith("\ufffd"):  # a letter of several tokens may not be whole
            self.show(text[self.shown :])
            self.shown = len(text)

    def end(self) -> None:
        self.show("\n")


def load_prompt(name: str) -> jinja2.Template:
    """A prompt by the name of its file, or one's own by its path."""
    file = Path(name) if name.endswith(".jinja") else PROMPTS / f"{name}.jinja"
    if not file.is_file():
        names = ", ".join(sorted(path.stem for path in PROMPTS.glob("*.jinja")))
        raise FileNotFoundError(
            f"there is no prompt {name}; there are {names}, or give the path of a file that ends in .jinja"
        )
    return jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True).from_string(file.read_text())


def render(template: jinja2.Template, question: str, passages: Sequence[str], marks: Sequence[str] = ()) -> str:
    """The prompt. Marks of passages, and `marks` of the model's own, such as those between turns, are taken out of the passages and of the
    question, so that what they say cannot change who says it."""
    clean = [without_marks(text, marks) for text in (question, *passages)]
    return template.render(question=clean[0], passages=clean[1:], nothing=NOTHING)


def without_marks(text: str, marks: Sequence[str]) -> str:
    """A text without marks, nor those that come about where one is taken out of another."""
    pattern = "|".join([r"<\s*/?\s*passage\b[^>\n]{0,100}>?", *map(regex.escape, sorted(marks, key=len, reverse=True))])
    before = None
    while before != text:
        before, text = text, regex.sub(pattern, "", text, flags=regex.IGNORECASE)
    return text.strip()


def take_answer(text: str, marked: bool = False) -> str:
    """What stands after the last `Answer:`, or, where there is none, all of it; numbers of passages are left out.

    Args:
        text: what was written.
        marked: the prompt asked for that mark, and for reasons or a quotation before it: without a mark the last line is the answer, if it is
            no quotation.
    """
    before, *marks = regex.split(r"(?im)^\W*answer\s*:", text)
    answer = marks[-1] if marks else before
    if marked and not marks:
        answer = (answer.strip().splitlines() or [""])[-1]
        answer = "" if regex.match(r"(?i)\W*quote\s*:", answer) else answer
    return " ".join(regex.sub(r"\s*\[\d+\]", "", answer).split())


def find_citations(text: str, passages: Sequence[str], question: str = "") -> list[tuple[int, int, int]]:
    """What a text cites and what is there: the places that support its answer in passages that it names by their numbers, and the places
    of what it quotes word for word."""
    cited = []
    for number in dict.fromkeys(int(match) - 1 for match in regex.findall(r"\[(\d+)\]", text)):
        if 0 <= number < len(passages):
            places, _ = ground(take_answer(text), [passages[number]], question)
            cited += [(number, start, end) for _, start, end in places]
    for quote in regex.findall(r"[\"“]([^\"”]{8,})[\"”]", text):
        for number, passage in enumerate(passages):
            start = passage.find(quote)
            if start >= 0:
                cited.append((number, start, start + len(quote)))
                break
    return cited
