from types import SimpleNamespace

import numpy as np
import pytest
import torch
from datasets import Dataset

from hf_recipes.ner.alignment import IGNORED
from hf_recipes.ner.decoding import name_scores
from hf_recipes.ner.labels import tag_names
from hf_recipes.ner.windows import WindowCollator, make_compute, make_windows, reduce_batch, scores_of

TAGS = tag_names(["a", "b"])


def make_split(number: int = 12) -> Dataset:
    generator = np.random.default_rng(0)
    words = [
        ["".join(generator.choice(list("xyz"), 3)) for _ in range(generator.integers(1, 25))] for _ in range(number)
    ]
    tags = [(["B-a", "I-a", "O", "B-b", "O"] * 5)[: len(sentence)] for sentence in words]
    return Dataset.from_dict({"words": words, "tags": tags, "index": list(range(number))})


def evaluate(split, windows, letters, logits_of, batch_size=4):
    """What `RecipeTrainer` gathers of batches in any order, padded to the longest."""
    order, collate = np.random.default_rng(1).permutation(len(windows)), WindowCollator(letters)
    parts = []
    for start in range(0, len(order), batch_size):
        batch = collate([windows[int(row)] for row in order[start : start + batch_size]])
        parts.append(reduce_batch(batch, {"logits": logits_of(batch)}))
    longest = max(part[0]["logits"].shape[1] for part in parts)

    def join(side, name):
        rows = [part[side][name].numpy() for part in parts]
        if rows[0].ndim >= 2 and name != "losses":
            rows = [
                np.pad(
                    each, [(0, 0), (0, longest - each.shape[1])] + [(0, 0)] * (each.ndim - 2), constant_values=IGNORED
                )
                for each in rows
            ]
        return np.concatenate(rows)

    return SimpleNamespace(
        predictions={name: join(0, name) for name in parts[0][0]},
        label_ids={name: join(1, name) for name in parts[0][1]},
    )


def logits_of_labels(batch) -> torch.Tensor:
    """Sure of the right tag wherever there is one, and of the last tag elsewhere."""
    labels = batch["labels"].clamp(min=-1)
    return 9.0 * torch.nn.functional.one_hot(torch.where(labels < 0, len(TAGS) - 1, labels), len(TAGS)).float()


@pytest.mark.parametrize("joined", [False, True])
@pytest.mark.parametrize("side", ["right", "left"])
def test_right_answers_are_right_in_any_order_and_padding(letters, side, joined):
    split = make_split()
    letters.padding_side = side
    try:
        windows = make_windows(split, TAGS, letters, max_length=20, stride=6, joined=joined, part=1)
        assert len(windows) > len(split) and windows[0]["length"] == len(windows[0]["input_ids"])
        evaluation = evaluate(split, windows, letters, logits_of_labels)
    finally:
        letters.padding_side = "right"
    assert name_scores(scores_of(evaluation, split, TAGS), TAGS, "IOB2") == split["tags"]
    scores = make_compute({1: split}, TAGS)(evaluation)
    assert scores["f1"] == scores["accuracy"] == 1 and 0 < scores["loss"] < 1e-2


def test_the_loss_is_the_mean_over_labelled_tokens(letters):
    split = make_split(5)
    windows = make_windows(split, TAGS, letters, max_length=20, stride=6)
    evaluation = evaluate(split, windows, letters, lambda batch: torch.zeros(*batch["labels"].shape, len(TAGS)), 2)
    scores = make_compute({0: split}, TAGS)(evaluation)
    assert scores["loss"] == pytest.approx(np.log(len(TAGS)), rel=1e-5) and scores["f1"] == 0


def test_answers_keep_to_the_scheme_and_dropped_words_are_outside(letters):
    """Nothing begins before the last word, whose likeliest label is inside; `O` is not the first label."""
    names = ["B-a", "I-a", "O"]
    split = Dataset.from_dict({"words": [["xy", "\u200b", "z"]], "tags": [["O"] * 3], "index": [0]})
    windows = make_windows(split, names, letters)
    logits = torch.tensor([[0, 0, 9.0], [0, 0, 9.0], [0, 0, 9.0], [0, 2.0, 1.9], [0, 0, 9.0]])
    evaluation = evaluate(split, windows, letters, lambda batch: logits[None])
    assert name_scores(scores_of(evaluation, split, names), names, "IOB2") == split["tags"]
    assert make_compute({0: split}, names, "IOB2")(evaluation)["accuracy"] == 1
    assert make_compute({0: split}, names, None)(evaluation)["accuracy"] == pytest.approx(2 / 3)


def test_padding_is_ignored_unless_its_cost_is_to_be_seen(letters):
    windows = make_windows(make_split(2), TAGS, letters, max_length=20, stride=6)
    rows = sorted(windows, key=lambda row: row["length"])[:2]
    usual, learned = WindowCollator(letters)(rows), WindowCollator(letters, 40)(rows)
    padding = learned["attention_mask"] == 0
    assert (usual["attention_mask"] == 0).any()
    assert usual["labels"].shape[1] == max(len(row["input_ids"]) for row in rows) and learned["labels"].shape[1] == 40
    assert (learned["labels"][padding] == 0).all() and (usual["labels"][usual["attention_mask"] == 0] == IGNORED).all()
    for row, labels in zip(rows, learned["labels"].tolist()):
        assert labels[: len(row["labels"])] == row["labels"]  # special tokens and later parts of words stay ignored
    assert (learned["word"][padding] == IGNORED).all()


def test_words_without_tokens_are_counted_in_the_log(letters, caplog):
    split = Dataset.from_dict({"words": [["xy", "z"], ["x", "\u200b"]], "tags": [["O", "O"]] * 2, "index": [5, 7]})
    windows = make_windows(split, TAGS, letters)
    assert "1 words have no token and are O, such as word 1 of row 7, '\\u200b'" in caplog.text
    assert [row.count(IGNORED) for row in windows["labels"]] == [2, 2]  # the special tokens
