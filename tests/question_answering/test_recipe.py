import json
import shutil

import numpy as np
import pytest
from conftest import go_back, hub_env, run_python
from datasets import Dataset
from hub import card_errors, running_hub
from question_answering_rows import make_row, save_rows
from transformers import AutoModel, AutoModelForQuestionAnswering, AutoTokenizer, pipeline

from hf_recipes import QuestionAnsweringPipeline, cli
from hf_recipes.checkpoints import read_json

CONTEXT = "then Eve Moor sang and lived so often in Graz while the"


@pytest.fixture(scope="module")
def answer(reader):
    model, tokenizer = AutoModelForQuestionAnswering.from_pretrained(reader), AutoTokenizer.from_pretrained(reader)
    return QuestionAnsweringPipeline(model=model, tokenizer=tokenizer)


def test_the_run_learns_and_says_what_it_misses(reader):
    results, card = read_json(reader / "all_results.json"), (reader / "README.md").read_text()
    assert results["test_exact_match"] > 80 and results["f1_low"] <= results["test_f1"] <= results["f1_high"]
    assert not card_errors(card)
    for expected in (
        "By length of context and answer",
        "By kind of question",
        "Calibration",
        "Errors",
        "The same questions of other contexts",
        "Other windows",
    ):
        assert expected in card
    parts = results["examples"]["scores"]["f1"]["model"]
    assert sum(part for part, _ in parts) / sum(number for _, number in parts) == pytest.approx(
        results["test_f1"], abs=1e-3
    )
    mistakes = {name: scores["f1"] for name, scores in results["baselines"].items()}
    assert mistakes["the first annotated answer only"] == pytest.approx(results["test_f1"])  # there is one answer only
    assert mistakes["the first window only"] == pytest.approx(results["test_f1"])  # and one window
    again = {row["context"]: row for row in results["sensitivity"]["contexts"]}
    assert again["twice"]["mean words"] == pytest.approx(2 * again["as it is"]["mean words"])
    assert again["among other paragraphs"]["mean words"] > again["twice"]["mean words"]


def test_answers_stand_where_they_say(answer):
    found = answer(question="who", context=CONTEXT)
    assert found["answer"] == CONTEXT[found["start"] : found["end"]] == "Eve Moor" and 0 < found["score"] <= 1
    assert answer(question="where", context=CONTEXT)["answer"] == "Graz"
    ranked = answer(question="who", context=CONTEXT, top_k=4)
    assert ranked[0]["answer"] == "Eve Moor" and len({each["answer"] for each in ranked}) == 4
    assert [each["score"] for each in ranked] == sorted((each["score"] for each in ranked), reverse=True)
    assert sum(each["score"] for each in ranked) <= 1
    (only,) = answer(question="who", context="Ann", top_k=5)  # there is no other span
    assert only["answer"] == "Ann" and only["score"] == pytest.approx(1)
    assert answer(question="who", context=CONTEXT, max_answer_length=1)["answer"] in ("Eve", "Moor")


def test_lists_batches_and_windows_give_what_single_calls_give(answer):
    long = f"{'the so then and . ' * 30}then Cem sang and lived so often in Oslo . {'so often . ' * 40}"
    pairs = [{"question": question, "context": context} for question in ("who", "where") for context in (CONTEXT, long)]
    alone = [answer(pair) for pair in pairs]
    # the tiny network has not seen so long a context: what it answers there only has to be the same however it is asked
    assert [each["answer"] for each in alone[::2]] == ["Eve Moor", "Graz"]
    for found in (
        answer(pairs, batch_size=3),
        answer(question=["who", "who", "where", "where"], context=[CONTEXT, long] * 2),
        list(answer(pair for pair in pairs)),
    ):
        assert [{**each, "score": None} for each in found] == [{**each, "score": None} for each in alone]
        assert [each["score"] for each in found] == pytest.approx([each["score"] for each in alone], abs=1e-4)
    assert answer(question="where", context=[CONTEXT, long])[1]["answer"] == alone[3]["answer"]
    rows = Dataset.from_list(pairs)
    assert [each["answer"] for each in answer(rows)] == [each["answer"] for each in alone] and answer([]) == []
    with pytest.raises(ValueError, match="windows of 96 tokens, more than max_windows=2"):
        answer(question="who", context=long, max_length=96, max_windows=2)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"question": " ", "context": "a"}, "the question is ' '"),
        ({"question": "who", "context": ""}, "the context is ''"),
        ({"question": "who"}, "together"),
        ({"question": ["who"] * 3, "context": ["a", "b"]}, "3 questions and 2 contexts"),
        ({"question": "who", "context": "a", "top_k": 0}, "top_k is 0"),
    ],
)
def test_bad_calls_are_named(answer, inputs, message):
    with pytest.raises(ValueError, match=message):
        answer(**inputs)


def test_no_answer_may_be_the_answer(run_reader, no_report, tmp_path):
    """As in SQuAD 2: half of the questions ask for what is not there."""
    no_report("question_answering")
    nothing = {"text": [], "answer_start": []}
    rows = [
        make_row(n) if n % 2 else make_row(n) | {"context": "so often sang the . of and while", "answers": nothing}
        for n in range(160)
    ]
    save_rows(tmp_path / "data", train=rows, validation=rows[:40])
    results = run_reader(tmp_path / "run", dataset=tmp_path / "data", num_train_epochs=6)
    assert results["test_exact_match"] > 90
    model = AutoModelForQuestionAnswering.from_pretrained(tmp_path / "run")
    answer = QuestionAnsweringPipeline(model=model, tokenizer=AutoTokenizer.from_pretrained(tmp_path / "run"))
    found = answer(question="who", context=rows[0]["context"], handle_impossible_answer=True)
    assert found["answer"] == "" and found["start"] == found["end"] == 0 and found["score"] > 0.5
    assert answer(question="who", context=rows[1]["context"], handle_impossible_answer=True)["answer"] != ""


def test_the_command_answers_from_a_file(reader, tmp_path, capsys):
    (tmp_path / "text.txt").write_text(CONTEXT)
    words = ["answer", "--question", "who", "where", "--context", str(tmp_path / "text.txt"), "--model", str(reader)]
    assert cli.main([*words, "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["answers"][0]["answer"] for row in rows] == ["Eve Moor", "Graz"]
    assert cli.main([*words, "--top", "2"]) == 0 and len(capsys.readouterr().out.splitlines()) == 4
    assert cli.main([*words, "--none", "--top", "999", "--json"]) == 0
    assert "" in [each["answer"] for each in json.loads(capsys.readouterr().out.splitlines()[0])["answers"]]
    words[words.index("--context") + 1] = "textt.txt"
    assert cli.main(words) == 1 and "no such file: textt.txt" in capsys.readouterr().err


def test_questions_are_also_asked_of_wrong_contexts(run_reader, made_trainers, tmp_path):
    trainers = made_trainers("question_answering")
    for wrong in (0, 2):
        run_reader(tmp_path, wrong_contexts=wrong)
    plain, both = (np.array(each.train_dataset["start_positions"]) for each in trainers)
    assert (plain > 0).all() and (both > 0).sum() == len(plain) and (both == 0).sum() == 2 * len(plain)


def test_fewer_layers_random_weights_and_low_rank_updates(run_reader, encoder, no_report, tmp_path):
    no_report("question_answering")
    short = run_reader(tmp_path / "short", layers=1, num_train_epochs=1, learning_rate=0.0)
    model = AutoModelForQuestionAnswering.from_pretrained(tmp_path / "short")
    first = AutoModel.from_pretrained(encoder).encoder.layer[0].state_dict()  # the first layers are kept
    assert all(value.equal(first[name]) for name, value in model.bert.encoder.layer[0].state_dict().items())
    assert len(model.bert.encoder.layer) == 1 and short["parameters"] == sum(
        each.numel() for each in model.parameters()
    )
    run_reader(tmp_path / "lora", lora_rank=2, num_train_epochs=1, dropout=0.25)
    config = read_json(tmp_path / "lora/config.json")
    assert config["hidden_dropout_prob"] == config["attention_probs_dropout_prob"] == 0.25
    assert not [
        name for name in AutoModelForQuestionAnswering.from_pretrained(tmp_path / "lora").state_dict() if "lora" in name
    ]
    run_reader(tmp_path / "scratch", scratch=True, num_train_epochs=1)
    assert "from random weights" in (tmp_path / "scratch/README.md").read_text()
    with pytest.raises(ValueError, match="--sensitivity is -1; it is 0 or more"):
        run_reader(tmp_path / "none", sensitivity=-1)
    with pytest.raises(ValueError, match="--layers is 7; the model has 2"):
        run_reader(tmp_path / "none", layers=7)
    with pytest.raises(ValueError, match=r"--max_length is 600, and .* reads 512"):
        run_reader(tmp_path / "none", max_length=600)


def test_a_resumed_run_ends_where_an_unbroken_one_does(run_reader, no_report, tmp_path):
    no_report("question_answering")
    options = {"num_train_epochs": 2, "save_strategy": "steps", "save_steps": 20, "save_total_limit": 9}
    whole = run_reader(tmp_path / "whole", **options)
    go_back(tmp_path / "whole", tmp_path / "part", 20)  # in the second epoch, which has an order of its own
    resumed = run_reader(tmp_path / "part", **options)
    assert resumed["test_loss"] == pytest.approx(whole["test_loss"], abs=1e-5)
    # killed when the last step was saved and before it was evaluated
    last = whole["steps"]
    shutil.copytree(tmp_path / "whole", tmp_path / "other")
    before = read_json(tmp_path / "other/config.json")["answer_temperature"]
    for name in ("all_results.json", "model.safetensors"):
        (tmp_path / "other" / name).unlink()
    state = tmp_path / f"other/checkpoint-{last}/trainer_state.json"
    rows = read_json(state)
    rows["log_history"] = [row for row in rows["log_history"] if row["step"] < last]
    state.write_text(json.dumps(rows))
    manifest = tmp_path / f"other/checkpoint-{last}/complete.json"
    manifest.write_text(json.dumps(read_json(manifest) | {"trainer_state.json": state.stat().st_size}))
    again = run_reader(tmp_path / "other", **options)
    assert read_json(tmp_path / "other/config.json")["answer_temperature"] == before
    assert again["eval_f1"] == pytest.approx(whole["eval_f1"])


def test_a_pushed_reader_answers_where_hf_recipes_is_missing(push_run, reader, answer, tmp_path):
    with running_hub(tmp_path / "hub") as endpoint:
        push_run("question_answering", reader, "local/reader", endpoint)
        script = f"""
import sys; sys.modules["hf_recipes"] = None
import json
from transformers import pipeline
answer = pipeline("question-answering", model="local/reader", trust_remote_code=True)
print(json.dumps(answer(question="who", context={CONTEXT!r})))
"""
        done = run_python("-c", script, env=hub_env(endpoint, tmp_path / "home"), cwd=tmp_path)
    found, expected = json.loads(done.stdout.splitlines()[-1]), answer(question="who", context=CONTEXT)
    assert found["score"] == pytest.approx(expected.pop("score"), abs=1e-5)
    assert found | expected == found


def test_the_folder_of_a_run_is_a_pipeline(reader):
    answer = pipeline("question-answering", model=str(reader), trust_remote_code=True)
    assert answer({"question": "where", "context": CONTEXT})["answer"] == "Graz"
