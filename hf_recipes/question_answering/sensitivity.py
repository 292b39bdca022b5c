"""The same questions of other contexts and in other windows: what the length of what is read costs, and whether a reader notices that a
context does not answer."""

import re
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from datasets import Dataset, concatenate_datasets
from sklearn.metrics import roc_auc_score
from torch.utils.data import DataLoader

from ..answers import score_answers
from ..pretrained import longest_window
from .data import FEATURES, with_wrong_contexts
from .windows import Answers, join_windows, make_windows

SIZES = ((128, 0), (128, 32), (128, 56), (192, 64), (256, 64), (384, 128), (512, 128))
AROUND = 2  # other paragraphs on each side


def ask_again(trainer, split: Dataset, sample: int, *, max_length: int, stride: int) -> dict[str, Any]:
    """Scores of questions that are drawn evenly from a split and asked again.

    Args:
        trainer: whose model is asked.
        split: rows of `load_questions`; questions without an answer are left out.
        sample: how many questions.
        max_length, stride: of the windows.

    Returns:
        `questions`, their number; `contexts` and `windows`, rows of tables; and of `notice_wrong_contexts`.
    """
    answered = np.flatnonzero([bool(texts) for texts in split["answers"][:]])
    chosen = split.select(answered[np.linspace(0, len(answered) - 1, min(sample, len(answered))).astype(int)])
    paragraphs, sizes = list(dict.fromkeys(split["context"][:])), {}
    longest = longest_window(trainer.model.config, trainer.processing_class)
    for length, shared in sorted({*SIZES, (max_length, stride)}):
        if length <= longest:
            sizes[length, shared] = score(trainer, chosen, chosen, length, shared)
    contexts = []
    for name, rows in other_contexts(chosen, paragraphs).items():
        words = float(np.mean([len(each.split()) for each in rows["context"]]))
        same = name == "as it is"
        scores = sizes[max_length, stride] if same else score(trainer, rows, chosen, max_length, stride)
        contexts.append({"context": name, "mean words": words, **scores})
    windows = [{"tokens of a window": length, "shared": shared, **scores} for (length, shared), scores in sizes.items()]
    noticed = notice_wrong_contexts(trainer, chosen, paragraphs, max_length, stride)
    return {"questions": len(chosen), "contexts": contexts, "windows": windows, **noticed}


def other_contexts(chosen: Dataset, paragraphs: list[str]) -> dict[str, Dataset]:
    """Rows with the same questions, whose contexts are made shorter or longer; the answers are moved with them, and lost where they were
    elsewhere."""
    makings: dict[str, list[tuple[str, int]]] = {
        "the sentence": [],
        "as it is": [],
        "twice": [],
        "among other paragraphs": [],
    }
    places = {text: number for number, text in enumerate(paragraphs)}
    for row in chosen:
        context, start = row["context"], row["starts"][0]
        first, end = sentence_around(context, start, start + len(row["answers"][0]))
        makings["the sentence"].append((context[first:end], first))
        makings["as it is"].append((context, 0))
        makings["twice"].append((f"{context} {context}", 0))
        # far away, so that they are of other articles where the data are in order
        there = places[context] + len(paragraphs) // 2
        others = [paragraphs[(there + n) % len(paragraphs)] for n in range(2 * AROUND)]
        before = "".join(f"{text} " for text in others[:AROUND])
        makings["among other paragraphs"].append((f"{before}{context} {' '.join(others[AROUND:])}", -len(before)))
    made = {}
    for name, pairs in makings.items():
        rows = {column: chosen[column][:] for column in chosen.column_names}
        rows["context"] = [context for context, _ in pairs]
        kept = []
        for (context, moved), texts, starts in zip(pairs, rows["answers"], rows["starts"]):
            moves = [(text, start - moved) for text, start in zip(texts, starts)]
            kept.append(
                [(text, start) for text, start in moves if start >= 0 and context[start : start + len(text)] == text]
            )
        rows["answers"] = [[text for text, _ in each] for each in kept]
        rows["starts"] = [[start for _, start in each] for each in kept]
        made[name] = Dataset.from_dict(rows, features=FEATURES)
    return made


def sentence_around(context: str, start: int, end: int) -> tuple[int, int]:
    """Where the sentence begins and ends that holds the characters `start` to before `end`, or the sentences."""
    breaks = [match.end() for match in re.finditer(r"[.!?][\"')\]]*\s+(?=[A-Z0-9\"'(\[])", context)]
    before = max((place for place in breaks if place <= start), default=0)
    return before, min((place for place in breaks if place >= end), default=len(context))


def notice_wrong_contexts(
    trainer, chosen: Dataset, paragraphs: list[str], max_length: int, stride: int
) -> dict[str, float]:
    """How well the margin of the best span over no answer tells contexts that answer from like ones, drawn from all paragraphs, that do not.

    Returns:
        `answerable_auroc`, the area under the curve of the margin (0.5 is chance), and `declined_right` and `declined_wrong`, the shares of
        contexts that answer and that do not where no answer is the likelier. Empty where the questions have no such contexts.
    """
    wrong = with_wrong_contexts(chosen, 1, seed=0, contexts=paragraphs)
    if not len(wrong):
        return {}
    both = concatenate_datasets([chosen, wrong])
    margins = ask(trainer, both, max_length, stride).margin
    answerable = np.array([bool(texts) for texts in both["answers"][:]])
    return {
        "answerable_auroc": float(roc_auc_score(answerable, margins)),
        "declined_right": float((margins[answerable] < 0).mean()),
        "declined_wrong": float((margins[~answerable] < 0).mean()),
    }


def score(trainer, rows: Dataset, chosen: Dataset, max_length: int, stride: int) -> dict[str, Any]:
    """Answers of the rows against all that was annotated of the chosen questions."""
    start = time.monotonic()
    answers = ask(trainer, rows, max_length, stride)
    exact, f1 = score_answers(answers.texts, chosen["answers"][:])
    return {
        "windows": int(answers.windows.sum()),
        "exact match": 100 * float(exact.mean()),
        "F1": 100 * float(f1.mean()),
        "seconds": round(time.monotonic() - start, 1),
    }


@torch.no_grad()
def ask(trainer, rows: Dataset, max_length: int, stride: int) -> Answers:
    """By this process alone: the others wait for its report."""
    model = trainer.model.eval()
    windows = make_windows(rows, trainer.processing_class, max_length=max_length, stride=stride)
    windows = windows.select(np.argsort(windows["length"][:], kind="stable"))  # little padding
    parts = []
    for batch in DataLoader(windows, trainer.args.per_device_eval_batch_size, collate_fn=trainer.data_collator):
        batch = {name: value.to(model.device) for name, value in batch.items()}
        parts.append(trainer.reduce(batch, model(**trainer.model_inputs(batch))))
    predictions, references = (
        {name: torch.cat([part[side][name].cpu() for part in parts]).numpy() for name in parts[0][side]}
        for side in (0, 1)
    )
    return join_windows(SimpleNamespace(predictions=predictions, label_ids=references), rows["context"][:])
