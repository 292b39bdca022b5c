"""Rows of SQuAD's form, for tests."""

import json
from pathlib import Path


def make_row(number: int) -> dict:
    context = f"So Ann of Kiel sang song {number} ."
    answer = {"text": ["Ann of Kiel"], "answer_start": [3]}
    return {
        "id": str(number),
        "title": f"article {number % 25}",
        "context": context,
        "question": "who",
        "answers": answer,
    }


def save_rows(folder: Path, **splits: list[dict]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, rows in splits.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder
