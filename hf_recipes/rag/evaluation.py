"""Gold questions put to an index and a reader, one after the other; what is answered is kept, so that a run which is killed goes on."""

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from sentence_transformers import SentenceTransformer
from tqdm.auto import tqdm

from .chunking import sentences_of
from .documents import Document
from .index import Hit, PassageIndex
from .pipeline import Answer, Citation, RagPipeline
from .questions import GoldQuestion
from .readers import says_nothing
from .scores import rarities, score_answer_text, score_hits

ANSWERS_FILE = "_answers.jsonl"
SEMANTIC = 0.8  # cosine with a gold answer from which an answer counts as a match


@dataclass
class Measured:
    """What was measured of one question.

    Args:
        gold: the question.
        hits: the passages that were found, the best first.
        milliseconds: of the search.
        retrieval: of `score_hits`; none where there is no evidence.
        answer: of the reader, where there is one.
        reading: of `score_answer_text`, with `semantic`; none where there is no gold answer.
    """

    gold: GoldQuestion
    hits: list[Hit]
    milliseconds: float
    retrieval: dict[str, float] = field(default_factory=dict)
    answer: Answer | None = None
    reading: dict[str, float | None] = field(default_factory=dict)


def search_all(
    index: PassageIndex,
    questions: Sequence[GoldQuestion],
    document: Document,
    search: dict[str, Any],
    budget: int,
) -> list[Measured]:
    """Each question's passages, and how good they are.

    Args:
        index, search: what is searched, and the options of `PassageIndex.search`; the `pool` is ranked, and what is not in it is not found.
        questions, document: what is asked about what.
        budget: characters for the evidence recall.
    """
    index.search("a first question, which loads what is loaded late", 1, **search)
    measured = []
    for gold in tqdm(questions, desc="Searching"):
        start = time.perf_counter()
        hits = index.search(gold.question, search["pool"], **search)
        each = Measured(gold, hits, 1000 * (time.perf_counter() - start))
        if gold.answerable:
            each.retrieval = score_hits(each.hits, document.name, gold.evidence, budget)
        measured.append(each)
    return measured


def answer_all(rag: RagPipeline, measured: Sequence[Measured], document: Document, judge: str, folder: Path) -> None:
    """Each question's answer, and how good it is.

    Args:
        rag: answers, from the passages that were found.
        measured: of `search_all`, which gains `answer` and `reading`.
        document: that the questions are about.
        judge: id or folder of the embedder whose cosine is the semantic match.
        folder: keeps the answers.
    """
    file = folder / ANSWERS_FILE
    text = file.read_text() if file.exists() else ""
    done = {row["id"]: row for row in map(read_line, text.splitlines()) if row}
    with file.open("a") as kept:
        if text and not text.endswith("\n"):
            kept.write("\n")  # a killed run did not end its line
        for each in tqdm(measured, desc="Answering"):
            row = done.get(each.gold.id)
            if row is None:
                hits = each.hits[: rag.search["k"]]
                row = {
                    "id": each.gold.id,
                    **rag.answer(each.gold.question, hits, each.milliseconds / 1000).as_dict(),
                }
                kept.write(json.dumps(row) + "\n")
                kept.flush()
            each.answer = restore(row)
    rarity = rarities([document.text[start:end] for start, end in sentences_of(document.text)])
    for each in measured:
        if each.gold.answerable:
            each.reading = score_answer_text(each.answer, each.gold, document.name, rarity)
    match_meaning([each for each in measured if each.gold.answerable], judge)


def read_line(line: str) -> dict[str, Any] | None:
    try:
        return json.loads(line)
    except json.JSONDecodeError:
        return None


def restore(row: dict[str, Any]) -> Answer:
    """An answer from what `as_dict` made of it."""
    fields = {name: value for name, value in row.items() if name != "id"}
    return Answer(
        **fields
        | {
            "citations": [Citation(**each) for each in row["citations"]],
            "hits": [Hit(**each) for each in row["hits"]],
        }
    )


def match_meaning(measured: Sequence[Measured], judge: str) -> None:
    """Whether the vector of each answer is near to that of a gold answer."""
    model = SentenceTransformer(judge)
    options = {"normalize_embeddings": True, "show_progress_bar": False}
    answers = model.encode(["" if each.answer.abstained else each.answer.answer for each in measured], **options)
    for vector, each in zip(answers, measured):
        nearest = float((model.encode(each.gold.answers, **options) @ vector).max())
        each.reading["semantic"] = float(nearest >= SEMANTIC and not each.answer.abstained)


def resident_megabytes() -> float:
    """Memory that this process holds."""
    return psutil.Process().memory_info().rss / 1e6


def stage_of_failure(each: Measured, declined: bool) -> str | None:
    """Where a wrong answer went wrong, the first stage of it; None where the answer is right.

    Args:
        each: what was measured of the question.
        declined: whether nothing is answered, for the answer's score or otherwise.
    """
    answer = each.answer
    if not each.gold.answerable:
        return None if declined else "answered what the text does not say"
    if each.reading["right"]:
        return "a right answer was held back" if declined else None
    rank = first_rank(each, len(answer.hits))
    if rank is None:
        return "the passage was not found"
    if rank > answer.read:
        return "the passage was found and did not fit into the budget"
    if declined:
        return "the reader said nothing" if says_nothing(answer.raw) else "a wrong answer was held back"
    return "the reader read the passage and answered something else"


def first_rank(each: Measured, depth: int) -> int | None:
    """Rank of the first passage that holds a place of the evidence, if it is among the first so many."""
    found = each.retrieval["reciprocal_rank"]
    rank = round(1 / found) if found else None
    return rank if rank is not None and rank <= depth else None


def examples_of(rows: Sequence[Measured]) -> dict[str, Any]:
    """What a study compares two runs by: scores by question, of those that the text answers."""
    scores = {
        name: {"model": [round(each.retrieval[name], 4) for each in rows]}
        for name in ("reciprocal_rank", "hit_at_5", "evidence_recall")
    }
    if rows and rows[0].reading:
        scores |= {
            name: {"model": [round(each.reading[name], 4) for each in rows]}
            for name in ("right", "f1", "semantic", "citation_recall")
        }
    return {"ids": [f"{each.gold.id}-{digest_of(each.gold)}" for each in rows], "scores": scores}


def digest_of(gold: GoldQuestion) -> str:
    """So that runs are not compared on questions that were changed between them."""
    return hashlib.sha256(json.dumps(gold).encode()).hexdigest()[:6]


def abstentions(measured: Sequence[Measured]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores of the answers, where none was given, and where the text has one; `(questions,)` each."""
    return (
        np.array([each.answer.score for each in measured]),
        np.array([each.answer.abstained for each in measured]),
        np.array([each.gold.answerable for each in measured]),
    )
