"""The gold questions on Winnie-the-Pooh: their form, and with a Hub their places in the book."""

import json
from collections import Counter

import pytest
from conftest import ROOT

QUESTIONS = ROOT / "recipes/rag/winnie_the_pooh.jsonl"


def read_questions() -> tuple[dict, list[dict]]:
    head, *rows = map(json.loads, QUESTIONS.read_text().splitlines())
    return head, rows


def test_the_questions_are_well_formed():
    head, rows = read_questions()
    assert set(head) == {"document", "digest", "edits"} and len(head["digest"]) == 16
    kinds = Counter(row["kind"] for row in rows)
    assert set(kinds) == {"fact", "why", "multi", "quotation", "comparison", "unanswerable"}
    assert kinds["unanswerable"] == 20 and len(rows) - 20 >= 80 and min(kinds.values()) >= 10
    assert len({row["id"] for row in rows}) == len({row["question"] for row in rows}) == len(rows)
    for row in rows:
        assert bool(row["answers"]) == bool(row["evidence"]) == (row["kind"] != "unanswerable"), row["id"]
        assert all(0 <= start < end <= start + 900 for start, end in row["evidence"]), row["id"]
        assert row["question"].endswith("?")


@pytest.mark.hub
def test_the_evidence_lies_in_the_book():
    import regex
    from huggingface_hub import hf_hub_download

    from hf_recipes.rag.documents import load_documents

    (book,) = load_documents(hf_hub_download("local/winnie-the-pooh", "winnie-the-pooh.txt", repo_type="dataset"))
    head, rows = read_questions()
    assert book.digest == head["digest"] and len(book.sections) == 10
    shares = []
    for row in rows:
        words = set(regex.findall(r"\p{L}{4,}", row["question"].lower()))
        evidence = " ".join(book.text[start:end] for start, end in row["evidence"]).lower()
        assert all(end <= len(book.text) for _, end in row["evidence"])
        if row["evidence"]:
            shares.append(sum(word in evidence for word in words) / max(len(words), 1))
    assert sorted(shares)[len(shares) // 2] <= 0.5  # at least half of them are in words of their own
