"""Gold questions about a text, with the places in it that answer them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .documents import Document

FORM = '{"id": ..., "kind": ..., "question": ..., "answers": [...], "evidence": [[start, end], ...]}'


class GoldQuestion(NamedTuple):
    """A question.

    Args:
        id, kind: by which it is told apart and grouped.
        question: its text.
        answers: texts that are right; none where the text does not answer it.
        evidence: spans of the document's text that answer it, all of them together; none likewise.
    """

    id: str
    kind: str
    question: str
    answers: list[str]
    evidence: list[tuple[int, int]]

    @property
    def answerable(self) -> bool:
        return bool(self.evidence)


def load_questions(file: Path, documents: Sequence[Document]) -> tuple[Document, list[GoldQuestion]]:
    """The document that the questions of a file are about, and the questions.

    Args:
        file: JSON lines; the first says by the `digest` of its normalised text which document it is, the others are questions.
        documents: among which it is.

    Raises:
        FileNotFoundError, ValueError: naming the file and line, and what to do.
    """
    if not file.is_file():
        raise FileNotFoundError(f"no such file of questions: {file}")
    lines = []
    for number, line in enumerate(file.read_text().splitlines(), 1):
        try:
            lines.append((number, json.loads(line)))
        except json.JSONDecodeError as error:
            raise ValueError(f"line {number} of {file} is not JSON: {error}") from error
    if len(lines) < 2 or not isinstance(lines[0][1], dict) or "digest" not in lines[0][1]:
        raise ValueError(
            f"the first line of {file} has to hold the digest of the text that it is about, and the others questions"
        )
    digests = {document.digest: document for document in documents}
    document = digests.get(lines[0][1]["digest"])
    if document is None:
        raise ValueError(
            f"{file} is about the text {lines[0][1]['digest']} ({lines[0][1].get('document', 'unnamed')}), and here is "
            f"{', '.join(digests)}: places in another edition are others, so load that one"
        )
    questions = [read_question(row, f"line {number} of {file}", document) for number, row in lines[1:]]
    if len({question.id for question in questions}) < len(questions):
        raise ValueError(f"{file}: two questions have one id")
    return document, questions


def read_question(row: dict, where: str, document: Document) -> GoldQuestion:
    if not isinstance(row, dict):
        raise ValueError(f"{where} is no question; one is {FORM}")
    missing = {"id", "kind", "question", "answers", "evidence"} - row.keys()
    if missing:
        raise ValueError(f"{where} has no {', '.join(sorted(missing))}; a question is {FORM}")
    if not isinstance(row["answers"], list) or not all(
        isinstance(each, str) and each.strip() for each in row["answers"]
    ):
        raise ValueError(f"{where}: answers is a list of texts")
    if not all(isinstance(each, list) and len(each) == 2 for each in row["evidence"]):
        raise ValueError(f"{where}: evidence is a list of [start, end]")
    if bool(row["answers"]) != bool(row["evidence"]):
        raise ValueError(f"{where}: answers and evidence are both given, or none of them")
    for start, end in row["evidence"]:
        if not 0 <= start < end <= len(document.text):
            raise ValueError(f"{where}: {start} to {end} is no place in a text of {len(document.text)} characters")
    evidence = [(start, end) for start, end in row["evidence"]]
    return GoldQuestion(row["id"], row["kind"], row["question"], list(row["answers"]), evidence)


def held_out(questions: Sequence[GoldQuestion]) -> np.ndarray:
    """`(questions,)`: True for the half that tests what the other half chose, every second question of each kind."""
    seen: dict[str, int] = {}
    halves = []
    for question in questions:
        seen[question.kind] = seen.get(question.kind, -1) + 1
        halves.append(seen[question.kind] % 2 == 1)
    return np.array(halves, bool)
