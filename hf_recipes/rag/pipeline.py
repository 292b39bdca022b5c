"""Questions answered from an index of passages: retrieve, fit a budget, read, ground."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from .fusion import RANK_CONSTANT
from .grounding import ground
from .index import Hit, PassageIndex, Rerank
from .readers import NOTHING, Reader, says_nothing


class Citation(NamedTuple):
    """What an answer rests on: `document.text[start:end] == text`."""

    document: str
    section: str
    start: int
    end: int
    text: str


@dataclass
class Answer:
    """An answer with all that led to it.

    Args:
        question: as it was asked.
        answer: the text; `NOTHING` where the pipeline abstains.
        abstained: whether it does.
        score: of the reader, 0 to 1.
        citations: what the answer rests on.
        unsupported: sentences of the answer that no passage supports.
        hits: the passages that were found, the best first.
        read: so many of them were read.
        prompt: what a generative reader was asked.
        raw: what the reader said, where the pipeline abstains from it.
        seconds: of each stage.
    """

    question: str
    answer: str
    abstained: bool
    score: float
    citations: list[Citation] = field(default_factory=list)
    unsupported: list[str] = field(default_factory=list)
    hits: list[Hit] = field(default_factory=list)
    read: int = 0
    prompt: str = ""
    raw: str = ""
    seconds: dict[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        rows = asdict(self) | {
            "citations": [citation._asdict() for citation in self.citations],
            "hits": [hit._asdict() for hit in self.hits],
        }
        return rows

    def show(self) -> str:
        """The answer, what it rests on, and what no passage supports."""
        lines = [self.answer]
        lines += [f'  "{" ".join(each.text.split())}" ({describe_place(each)})' for each in self.citations]
        lines += [f"  not supported by any passage: {sentence}" for sentence in self.unsupported]
        return "\n".join(lines)

    def explain(self) -> str:
        """All stages, then the answer."""
        lines = [f"question: {self.question}", ""]
        for place, hit in enumerate(self.hits, 1):
            scores = ", ".join(f"{name} {score:.3f}" for name, score in hit.stages.items())
            mark = "read" if place <= self.read else "not read"
            lines.append(f"{place}. {scores} ({describe_place(hit)}; {mark})\n   {' '.join(hit.text.split())[:300]}")
        if self.prompt:
            lines += ["", "prompt:", self.prompt]
        lines += ["", f"the reader says: {self.raw or 'nothing'} (score {self.score:.3f})"]
        lines += [", ".join(f"{name} {value:.2f} s" for name, value in self.seconds.items()), "", self.show()]
        return "\n".join(lines)


def describe_place(place: "Citation | Hit") -> str:
    section = f", {place.section}" if place.section else ""
    return f"{place.document}{section}, {place.start} to {place.end}"


class RagPipeline:
    """Answers questions from the passages of an index.

    Args:
        index: of passages.
        reader: `ExtractiveReader`, `GenerativeReader`, or anything like them.
        k, method, rerank, relevance, pool, rank_constant: of `PassageIndex.search`.
        budget: tokens of passages that the reader is given at most; fewer where it can read no more at once. The first passage is cut to it.
        least_score: below it the pipeline abstains, since the reader is not sure enough; the reader's own where None.
        grounded: whether it also abstains when no sentence of the answer is supported by a passage.
    """

    def __init__(
        self,
        index: PassageIndex,
        reader: Reader,
        *,
        k: int = 5,
        method: str = "hybrid",
        rerank: Rerank | None = None,
        relevance: float | None = None,
        pool: int = 50,
        rank_constant: int = RANK_CONSTANT,
        budget: int = 1200,
        least_score: float | None = None,
        grounded: bool = True,
    ):
        self.index, self.reader = index, reader
        self.search = {
            "k": k,
            "method": method,
            "rerank": rerank,
            "relevance": relevance,
            "pool": pool,
            "rank_constant": rank_constant,
        }
        self.budget, self.grounded = budget, grounded
        self.least_score = reader.least_score if least_score is None else least_score

    def __call__(self, question: str, show: Callable[[str], None] | None = None) -> Answer:
        """
        Args:
            question: any text.
            show: is called with pieces of the answer as they are written.

        Raises:
            ValueError: for an empty question, and for one that the reader would not read to its end.
        """
        tokens, most = self.reader.count(question), self.reader.most_question
        if tokens > most:
            raise ValueError(f"the question has {tokens:,} tokens; at most {most} are read, so ask something shorter")
        start = time.perf_counter()
        hits = self.index.search(question, **self.search)
        return self.answer(question, hits, time.perf_counter() - start, show)

    def answer(
        self, question: str, hits: list[Hit], retrieve: float = 0.0, show: Callable[[str], None] | None = None
    ) -> Answer:
        """The same from passages that were found before, the best first, in `retrieve` seconds."""
        seconds, start = {"retrieve": retrieve}, time.perf_counter()
        read = self.fit(hits, min(self.budget, self.reader.room(question, len(hits))))
        passages = [hit.text for hit in read]
        reading = self.reader.read(question, passages, show)
        seconds["read"], start = time.perf_counter() - start, time.perf_counter()
        supporting, unsupported = ground(reading.answer, passages, question)
        cited = reading.cited or supporting
        seconds["ground"] = time.perf_counter() - start
        abstained = says_nothing(reading.answer) or reading.score < self.least_score or (self.grounded and not cited)
        return Answer(
            question=question,
            answer=NOTHING if abstained else reading.answer,
            abstained=abstained,
            score=reading.score,
            citations=[] if abstained else [cite(read[number], first, last) for number, first, last in cited],
            unsupported=[] if abstained else unsupported,
            hits=hits,
            read=len(read),
            prompt=reading.prompt,
            raw=reading.answer,
            seconds=seconds,
        )

    def fit(self, hits: list[Hit], budget: int) -> list[Hit]:
        """As many of the best passages as the budget holds, one at least, which is cut to it.

        Raises:
            ValueError: where it holds none.
        """
        if hits and budget < 1:
            raise ValueError(
                "the reader has no room for passages beside the question and the answer; ask for fewer tokens, or take another reader"
            )
        kept, left = [], budget
        for hit in hits:
            tokens = self.reader.count(hit.text)
            if tokens > left:
                if not kept:
                    end = len(hit.text) * left // tokens
                    while self.reader.count(hit.text[:end]) > left:  # tokens differ in length
                        end -= 1 + end // 20
                    kept.append(hit._replace(text=hit.text[:end], end=hit.start + end))
                break
            kept, left = [*kept, hit], left - tokens
        return kept


def cite(hit: Hit, start: int, end: int) -> Citation:
    """A part of a passage as a part of its document."""
    return Citation(hit.document, hit.section, hit.start + start, hit.start + end, hit.text[start:end])
