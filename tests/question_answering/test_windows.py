from types import SimpleNamespace

import numpy as np
import pytest
import torch
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from hf_recipes.question_answering import sensitivity
from hf_recipes.question_answering.analysis import bounds, calibration_error, decoding_mistakes, plain, score_table
from hf_recipes.question_answering.data import FEATURES
from hf_recipes.question_answering.pipeline_question_answering import best_spans, encode_pairs, score_spans, spans_of
from hf_recipes.question_answering.windows import (
    TEMPERATURES,
    WindowCollator,
    fit_temperature,
    join_windows,
    make_compute,
    make_reduce,
    make_windows,
    probabilities,
)


def make_split(number: int = 12) -> Dataset:
    generator = np.random.default_rng(0)
    rows = {name: [] for name in FEATURES}
    for n in range(number):
        words = [
            "".join(generator.choice(list("abcde"), generator.integers(1, 6))) for _ in range(generator.integers(5, 40))
        ]
        context, first = " ".join(words), int(generator.integers(0, len(words) - 3))
        text = " ".join(words[first : first + 3])
        start = len(" ".join(words[:first])) + bool(first)
        for name, value in {"id": str(n), "title": f"article {n % 3}", "question": "xyz", "context": context, "answers": [text],
                            "starts": [start], "index": n}.items():  # fmt: skip
            rows[name].append(value)
    return Dataset.from_dict(rows, features=FEATURES)


def evaluate(windows, letters, logits_of, max_answer=30, batch_size=4):
    """What the trainer gathers of batches in any order."""
    order, collate, reduce = (
        np.random.default_rng(1).permutation(len(windows)),
        WindowCollator(letters),
        make_reduce(max_answer),
    )
    parts = []
    for start in range(0, len(order), batch_size):
        batch = collate([windows[int(row)] for row in order[start : start + batch_size]])
        first, last = logits_of(batch)
        parts.append(reduce(batch, {"start_logits": first, "end_logits": last}))
    return SimpleNamespace(
        predictions={name: torch.cat([part[0][name] for part in parts]).numpy() for name in parts[0][0]},
        label_ids={name: torch.cat([part[1][name] for part in parts]).numpy() for name in parts[0][1]},
    )


def logits_of_answers(batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Sure of the answer where a window holds it, and of nothing elsewhere."""
    return tuple(
        8.0 * torch.nn.functional.one_hot(batch[name], batch["input_ids"].shape[1]).float()
        for name in ("start_positions", "end_positions")
    )


@pytest.mark.parametrize("stride", [4, 20])
def test_every_answer_is_in_a_window_and_comes_back_from_its_tokens(letters, stride):
    split = make_split(40)
    windows = make_windows(split, letters, max_length=100, stride=stride)
    assert len(windows) > len(split) and max(windows["length"]) == 100
    found = set()
    for row in windows:
        first, last = row["start_positions"], row["end_positions"]
        if first:
            context = split[row["example"]]["context"]
            assert context[row["offsets"][first][0] : row["offsets"][last][1]] == split[row["example"]]["answers"][0]
            found.add(row["example"])
    missing = set(range(40)) - found  # only an answer longer than what windows share may be cut
    longest = max(len(split[n]["answers"][0]) for n in missing) if missing else 0
    assert not missing or (stride == 4 and longest > 4)
    assert stride == 4 or not missing


def test_answers_that_are_no_whole_tokens_are_left_out_of_the_training(letters, caplog):
    split = make_split(3)
    rows = split.to_dict()
    rows["context"][1], rows["answers"][1], rows["starts"][1] = "so 1.5 x", ["5 x"], [5]
    rows["context"][2], rows["answers"][2], rows["starts"][2] = "the ab", ["b"], [5]
    letters_of = Dataset.from_dict(rows, features=FEATURES)
    windows = make_windows(letters_of, letters, max_length=100, stride=4, training=True)
    assert set(windows["example"]) == {0, 1, 2}  # letters are tokens here: every answer is whole
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    tokenizer = Tokenizer(models.WordLevel({word: n for n, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    whole = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]")
    windows = make_windows(letters_of, whole, max_length=100, stride=4, training=True)
    assert set(windows["example"]) == {0, 1}
    assert (
        "1 of 3 answers are no whole tokens of a window, such as 'b' in row 2; their questions are left out"
        in caplog.text
    )
    assert set(make_windows(letters_of, whole, max_length=100, stride=4)["example"]) == {0, 1, 2}


def test_right_logits_give_right_answers_in_any_order(letters):
    split = make_split()
    windows = make_windows(split, letters, max_length=100, stride=24, part=1)
    assert len(windows) > len(split)
    evaluation = evaluate(windows, letters, logits_of_answers)
    answers = join_windows(evaluation, split["context"][:])
    assert answers.texts == [texts[0] for texts in split["answers"]]
    assert answers.windows.sum() == len(windows) and [list(span) for span in answers.spans] == [
        [start[0], start[0] + len(text[0])] for start, text in zip(split["starts"], split["answers"])
    ]
    scores = make_compute({1: split}, validation=1)(evaluation)
    assert scores["exact_match"] == scores["f1"] == 100 and scores["loss"] < 0.1 and scores["temperature"] < 1
    assert "temperature" not in make_compute({1: split}, validation=0)(evaluation)
    assert answers.held.all() and (answers.margin > 0).all()
    with pytest.raises(ValueError, match="question 12 has no window"):
        join_windows(evaluation, [*split["context"][:], "more"])


def test_answers_that_no_window_holds_or_that_are_too_long_are_told_apart(letters):
    rows = make_split(3).to_dict()
    rows["answers"][1], rows["starts"][1] = [], []
    length = len(rows["answers"][2][0].replace(" ", ""))  # letters are tokens
    split = Dataset.from_dict(rows, features=FEATURES)
    windows = make_windows(split, letters, max_length=100, stride=24)

    def held(most: int) -> list[bool]:
        return join_windows(
            evaluate(windows, letters, logits_of_answers, most), split["context"][:], True
        ).held.tolist()

    assert held(30) == [True, False, True] and held(length)[2] and not held(length - 1)[2]
    rows["context"][0], rows["answers"][0], rows["starts"][0] = "the ab", ["b"], [5]
    split = Dataset.from_dict(rows, features=FEATURES)
    windows = make_windows(split, letters, max_length=100, stride=24)
    assert held(30)[0]
    windows = windows.map(lambda row: {"aligned": row["aligned"] and row["example"] > 0})  # as where "ab" is one token
    assert held(30) == [False, False, True]


def test_spans_are_scored_as_by_hand():
    generator = torch.Generator().manual_seed(0)
    start, end = torch.randn(2, 3, 9, generator=generator)
    inside = torch.rand(3, 9, generator=generator) < 0.8
    scores = score_spans(start, end, inside, 4)
    for window, first, length in np.ndindex(3, 9, 4):
        last = first + length
        allowed = last < 9 and inside[window, first] and inside[window, last]
        expected = start[window, first] + end[window, last] if allowed else -torch.inf
        assert scores[window, first, length] == expected
    best, places = best_spans(scores, 2)
    flat = scores.flatten(1)
    assert best.equal(flat.sort(descending=True).values[:, :2])
    for window in range(3):
        first, last = places[window, 0].tolist()
        assert scores[window, first, last - first] == best[window, 0] and last - first < 4


@pytest.mark.parametrize("may_be_none", [False, True])
def test_probabilities_are_those_among_all_spans_of_all_windows(letters, may_be_none):
    """Of a context in several windows, whose spans are put together by hand; one that stands in two windows is one answer."""
    split = make_split(6)
    windows = make_windows(split, letters, max_length=100, stride=24)
    logits = torch.randn(2, len(windows), 100, generator=torch.Generator().manual_seed(0))
    ids = {tuple(row["input_ids"]): number for number, row in enumerate(windows)}

    def logits_of(batch):
        rows = [tuple(each[mask.bool()].tolist()) for each, mask in zip(batch["input_ids"], batch["attention_mask"])]
        return logits[:, [ids[row] for row in rows], : batch["input_ids"].shape[1]]

    answers = join_windows(evaluate(windows, letters, logits_of), split["context"][:], may_be_none)
    assert (answers.windows > 1).any()
    for number in range(len(split)):
        for temperature in (1.0, 2.0):
            weights: dict[tuple[int, int], float] = {}
            copies: dict[tuple[int, int], float] = {}
            nulls = []
            for window, row in enumerate(windows):
                if row["example"] != number:
                    continue
                count = len(row["input_ids"])
                start, end = (each[window, :count] for each in logits)
                nulls.append((start[0] + end[0]).item())
                scores = score_spans(start[None], end[None], torch.tensor([row["in_context"]]).bool(), 30)[0]
                for first, length in np.argwhere(np.isfinite(scores.numpy())):
                    span = row["offsets"][first][0], row["offsets"][first + length][1]
                    score = scores[first, length].item()
                    weights[span] = weights.get(span, 0.0) + np.exp(score / temperature)
                    copies[span] = max(score, copies.get(span, score))
            best = max(copies, key=copies.get)
            if may_be_none:
                weights[0, 0] = np.exp(min(nulls) / temperature)
                best = (0, 0) if min(nulls) > copies[best] else best
            assert tuple(answers.spans[number]) == best
            found = probabilities(answers, temperature)[number]
            # copies that are not among the best few of their window are not counted
            assert found == pytest.approx(weights[best] / sum(weights.values()), rel=0.02)


def test_the_temperature_is_that_of_the_logits():
    """Of random logits, under which the best answer is right as often as its probability at temperature 2 says."""
    generator = torch.Generator().manual_seed(0)
    scores = 4 * torch.randn(20_000, 20, generator=generator)
    drawn = torch.multinomial((scores / 2).softmax(1), 1, generator=generator)[:, 0]
    partitions = torch.stack([(scores / t).logsumexp(1) for t in TEMPERATURES], 1).numpy()
    best = torch.stack([scores.max(1).values / t for t in TEMPERATURES], 1).numpy()
    answers, exact = SimpleNamespace(best=best, partitions=partitions), (drawn == scores.argmax(1)).float().numpy()
    assert fit_temperature(answers, exact) == 2.0
    assert fit_temperature(answers, np.ones(20_000)) == TEMPERATURES[0]  # no doubt, where all are right


def test_answers_that_no_window_holds_are_counted_and_not_learned_from(letters, caplog):
    split = make_split(3)
    rows = split.to_dict()
    rows["context"][1] = "ab " * 60
    rows["answers"][1], rows["starts"][1] = [("ab " * 60)[30:120].strip()], [30]
    windows = make_windows(Dataset.from_dict(rows, features=FEATURES), letters, max_length=76, stride=4, training=True)
    assert "1 of 3 answers are no whole tokens of a window, such as" in caplog.text and set(windows["example"]) == {
        0,
        2,
    }


def test_careless_decoding_reads_the_first_window_and_one_answer(letters):
    split = make_split(40)
    windows = make_windows(split, letters, max_length=92, stride=20)
    evaluation = evaluate(windows, letters, logits_of_answers)
    rows = {name: split[name][:] for name in ("context", "answers")}
    rows["answers"] = [["no such words", *texts] for texts in rows["answers"]]
    answers = join_windows(evaluation, rows["context"])
    scores = decoding_mistakes(evaluation, answers, rows)
    first = {row["example"]: bool(row["start_positions"]) for row in reversed(list(windows))}
    share = 100 * np.mean([first[number] for number in range(40)])
    assert 0 < share < 100
    assert scores["the first window only"]["exact_match"] == pytest.approx(share)
    name = "the likeliest start and the likeliest end, each by itself, of the first window"
    assert scores[name]["exact_match"] == pytest.approx(share)
    assert scores["the first annotated answer only"]["exact_match"] == 0


def test_offsets_are_characters_of_the_context(letters):
    contexts = ["ab  cd, e", "x" * 30]
    windows = encode_pairs(letters, ["who?", "what is it"], contexts, max_length=92, stride=4)
    for example, offsets, inside in zip(windows["example"], windows["offsets"], windows["in_context"]):
        pieces = [contexts[example][start:end] for (start, end), within in zip(offsets, inside) if within]
        assert all(pieces) and "".join(pieces) in contexts[example].replace(" ", "")
        assert all(place == [0, 0] for place, within in zip(offsets, inside) if not within)
    long = encode_pairs(letters, ["y " * 200], ["ab"], max_length=92, stride=4)
    assert sum(not within for within in long["in_context"][0]) == 64 + 3  # the question is cut
    with pytest.raises(ValueError, match=r"windows of 80 tokens leave 13 for the context .* cannot share 13"):
        encode_pairs(letters, ["a"], ["b"], max_length=80, stride=13)


def test_spans_beyond_a_window_have_no_place():
    offsets = torch.tensor([[[0, 0], [0, 2], [3, 5]]])
    assert spans_of(torch.tensor([[[1, 2], [2, 9]]]), offsets).tolist() == [[[0, 5], [3, 5]]]


def test_the_margin_tells_contexts_that_answer_from_others(monkeypatch):
    texts = ["Ann sang a song.", "Then Bea sang a song.", "Cem sang."]
    rows = {"id": list("abc"), "title": [""] * 3, "question": ["Who sang a song?"] * 3, "context": texts}
    rows |= {"answers": [["Ann"], ["Bea"], ["Cem"]], "starts": [[0], [5], [0]], "index": range(3)}
    margins = {True: [1.0], False: [-1.0]}

    def ask(trainer, asked, *sizes):
        return SimpleNamespace(margin=np.concatenate([margins[bool(texts)] for texts in asked["answers"][:]]))

    monkeypatch.setattr(sensitivity, "ask", ask)
    found = sensitivity.notice_wrong_contexts(None, Dataset.from_dict(rows, features=FEATURES), texts, 96, 8)
    assert found == {"answerable_auroc": 1, "declined_right": 0, "declined_wrong": 1}


def test_calibration_is_the_weighted_distance_of_score_and_share():
    likely, right = np.array([0.85] * 10 + [0.25] * 5), np.array([1] * 6 + [0] * 9)
    assert calibration_error(likely, right) == pytest.approx((10 * 0.25 + 5 * 0.25) / 15)
    assert calibration_error(np.array([0.2] * 5), np.ones(5)) == pytest.approx(0.8)


def test_intervals_draw_articles_and_groups_of_few_have_none():
    values = np.repeat([0.0, 1.0], 50)
    wide, narrow = (np.ptp(bounds(values, articles)) for articles in (np.repeat(range(4), 25), np.arange(100)))
    assert wide > 3 * narrow
    groups, articles = ["b"] * 60 + ["a"] * 39 + ["none"], np.repeat(range(20), 5)
    rows = score_table("group", groups, values, values, articles, order=["a", "b"])
    assert [(row["group"], row["questions"]) for row in rows] == [("a", 39), ("b", 60), ("none", 1)]
    assert rows[0]["F1 between"] and rows[2]["F1 between"] is None and plain(rows)[2]["F1 between"] is None
