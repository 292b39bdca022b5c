"""Checks on SQuAD itself; run by `make test-hub`."""

import json
import os

import numpy as np
import pytest
from conftest import ROOT, run_python

pytestmark = pytest.mark.hub
ENCODER = "sentence-transformers/all-MiniLM-L6-v2"


def test_every_aligned_span_is_the_annotated_answer():
    from transformers import AutoTokenizer

    from hf_recipes.question_answering.data import load_questions
    from hf_recipes.question_answering.windows import make_windows

    data, tokenizer = load_questions("rajpurkar/squad"), AutoTokenizer.from_pretrained(ENCODER)
    assert len(data.splits["test"]) == 10570 and data.tested_on == "its validation split"
    titles = [{title for title in data.splits[name]["title"] if title} for name in ("train", "validation")]
    assert not titles[0] & titles[1]  # some questions have no title in this copy
    for name, split in data.splits.items():
        windows = make_windows(split, tokenizer, max_length=384, stride=128, training=True)
        contexts, answers = split["context"][:], split["answers"][:]
        found = set()
        for row in windows.select_columns(["example", "offsets", "start_positions", "end_positions"]):
            first, last, example = row["start_positions"], row["end_positions"], row["example"]
            if first:
                span = contexts[example][row["offsets"][first][0] : row["offsets"][last][1]]
                assert span.split() == answers[example][0].split(), (name, example)
                found.add(example)
        kept = len(set(windows["example"]))
        assert len(found) > 0.995 * kept and kept > 0.99 * len(split), (name, len(found), kept)


def test_train_push_and_answer(tmp_path):
    from datasets import load_dataset

    (tmp_path / "squad").mkdir()
    for split in ("train", "validation"):  # not all 10,570 questions, which take a quarter of an hour
        rows = load_dataset("rajpurkar/squad", split=split).shuffle(seed=0).take(300)
        rows.to_parquet(tmp_path / f"squad/{split}.parquet")
    words = ["--config", ROOT / "recipes/question_answering/squad.yaml", "--dataset", tmp_path / "squad"]
    words += ["--max_steps", "4", "--eval_strategy", "no", "--output_dir", tmp_path / "run"]
    words += ["--push_to_hub", "--hub_model_id", "local/test-reader"]
    environment = {"HF_TOKEN": os.environ.get("HF_TOKEN", "hf_local"), "HF_HUB_OFFLINE": "0"}
    run_python(ROOT / "recipes/question_answering.py", *words, env=environment)
    assert json.loads((tmp_path / "run/all_results.json").read_text())["test_examples"] == 300
    script = """
import sys; sys.modules["hf_recipes"] = None
from transformers import pipeline
answer = pipeline("question-answering", model="local/test-reader", trust_remote_code=True)
context = "Grete Hermann wrote her thesis in Göttingen in 1925."
found = answer(question="Where did she write it?", context=context)
assert context[found["start"]:found["end"]] == found["answer"] and 0 <= found["score"] <= 1
print("answered")
"""
    assert "answered" in run_python("-c", script, env=environment).stdout


def test_the_pipeline_agrees_with_the_evaluation():
    """On questions of SQuAD, with the windows of the recipe, by the untrained head of an encoder."""
    from types import SimpleNamespace

    import torch
    from transformers import AutoModelForQuestionAnswering, AutoTokenizer

    from hf_recipes import QuestionAnsweringPipeline
    from hf_recipes.question_answering.data import load_questions
    from hf_recipes.question_answering.windows import WindowCollator, join_windows, make_reduce, make_windows

    torch.manual_seed(0)
    model, tokenizer = (
        AutoModelForQuestionAnswering.from_pretrained(ENCODER).eval(),
        AutoTokenizer.from_pretrained(ENCODER),
    )
    split = load_questions("rajpurkar/squad").splits["test"].take(12)
    windows = make_windows(split, tokenizer, max_length=128, stride=32)
    batch = WindowCollator(tokenizer)(list(windows))
    with torch.no_grad():
        outputs = model(**{name: batch[name] for name in tokenizer.model_input_names if name in batch})
    predictions, references = make_reduce()(batch, outputs)
    evaluation = SimpleNamespace(
        predictions={name: value.numpy() for name, value in predictions.items()},
        label_ids={name: value.numpy() for name, value in references.items()},
    )
    expected = join_windows(evaluation, split["context"][:])
    answer = QuestionAnsweringPipeline(model=model, tokenizer=tokenizer)
    found = answer(question=split["question"][:], context=split["context"][:], max_length=128, stride=32)
    assert [each["answer"] for each in found] == expected.texts
    assert np.allclose([[each["start"], each["end"]] for each in found], expected.spans)
