import json
from functools import partial

import numpy as np
import pytest
from conftest import go_back, hub_env, run_python, run_tiny_recipe
from hub import card_errors, running_hub
from rag_rows import THINGS, make_pairs, save_encoder
from sentence_transformers import SentenceTransformer

from hf_recipes.checkpoints import read_json
from hf_recipes.intervals import resample
from hf_recipes.rag import retriever_report
from hf_recipes.rag.pairs import load_pairs
from hf_recipes.rag.ranking import RankingTest, measure_ranks, rank_by, rank_by_vectors, rank_by_words
from hf_recipes.rag.retriever import add_hard_negatives


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Questions of words that their passages do not have: what belongs together has to be learned."""
    folder = tmp_path_factory.mktemp("pairs")
    for name, number, seed in (("train", 240, 1), ("validation", 40, 2)):
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, make_pairs(number, seed))))
    return folder


@pytest.fixture(scope="module")
def run_retriever(pairs):
    tiny = {
        "dataset": pairs,
        "word_vectors": 16,
        "per_device_train_batch_size": 20,
        "num_train_epochs": 6,
        "learning_rate": 0.05,
        "precision": "fp32",
        "seed": 1,
    }
    return partial(run_tiny_recipe, "rag", tiny)


@pytest.fixture(scope="module")
def retriever_run(run_retriever, tmp_path_factory):
    folder = tmp_path_factory.mktemp("retriever") / "run"
    run_retriever(folder)
    return folder


def test_the_training_learns_what_belongs_together(retriever_run):
    results = read_json(retriever_run / "all_results.json")
    before, words = (results["baselines"][name]["mrr"] for name in ("before the training", "BM25"))
    assert results["test_mrr"] > max(before, words) + 0.2
    assert results["mrr_low"] <= results["test_mrr"] <= results["mrr_high"]
    card = (retriever_run / "README.md").read_text()
    assert not card_errors(card) and "library_name: sentence-transformers" in card
    for expected in (
        "How sure the numbers are",
        "Rank of the right passage",
        "By kind of question",
        "its validation split",
    ):
        assert expected in card


def test_the_reported_numbers_are_those_of_the_saved_model(retriever_run, pairs):
    test = load_pairs(str(pairs), seed=1).test
    ranks = rank_by_vectors(test, SentenceTransformer(str(retriever_run), device="cpu"))
    assert measure_ranks(ranks)["mrr"] == pytest.approx(read_json(retriever_run / "all_results.json")["test_mrr"])


@pytest.mark.parametrize("kind", ["words", "lora", "negatives"])
def test_a_resumed_run_ends_where_an_unbroken_one_does(kind, run_retriever, retriever_run, no_report, tmp_path):
    no_report("rag")
    options = dict.fromkeys(("save_strategy", "eval_strategy"), "steps") | {"save_steps": 4, "eval_steps": 4}
    options |= {"save_total_limit": 9, "num_train_epochs": 2}
    if kind == "lora":
        options |= {
            "model": save_encoder(tmp_path / "encoder"),
            "word_vectors": 0,
            "lora_rank": 2,
            "max_length": 8,
            "learning_rate": 0.01,
        }
    if kind == "negatives":
        options |= {"model": retriever_run, "word_vectors": 0, "hard_negatives": 1}
    whole = run_retriever(tmp_path / "whole", **options)
    go_back(tmp_path / "whole", tmp_path / "part", 8)
    resumed = run_retriever(tmp_path / "part", **options)
    assert resumed["test_mrr"] == pytest.approx(whole["test_mrr"], abs=1e-6)
    first, second = (SentenceTransformer(str(tmp_path / name), device="cpu") for name in ("whole", "part"))
    assert np.allclose(first.encode(["a lantern"]), second.encode(["a lantern"]), atol=1e-5)
    if kind == "lora":
        assert first.max_seq_length == 32  # as before the training
        assert not any("lora" in name for name, _ in first.named_parameters())
        start = SentenceTransformer(str(tmp_path / "encoder"), device="cpu")
        assert not np.allclose(start.encode(["a lantern"]), first.encode(["a lantern"]), atol=1e-3)


def test_a_start_is_tested_as_it_is(run_retriever, tmp_path, monkeypatch):
    groups = []
    monkeypatch.setattr(
        retriever_report,
        "resample",
        lambda *args, **options: groups.append(options["groups"]) or resample(*args, **options),
    )
    results = run_retriever(tmp_path, train=False)
    assert results["test_mrr"] == pytest.approx(results["baselines"]["before the training"]["mrr"], abs=1e-6)
    assert groups  # intervals draw articles and not questions
    assert results["steps"] == 0 and "and no further" in (tmp_path / "README.md").read_text()


def test_word_vectors_have_no_layers_to_update(run_retriever, tmp_path):
    with pytest.raises(ValueError, match="--lora_rank"):
        run_retriever(tmp_path, lora_rank=2)


def test_ranks_count_what_is_as_near_as_the_right_passage():
    test = RankingTest(["q", "r"], ["a", "b", "c"], np.array([1, 2]), ["x", "y"])
    scores = np.array([[0.5, 0.5, 0.1], [0.1, 0.2, 0.9]])
    ranks = rank_by(test, lambda rows: scores[rows])
    assert ranks.tolist() == [2, 1]
    assert measure_ranks(ranks) == pytest.approx(
        {"mrr": 0.75, "hit_at_1": 0.5, "hit_at_5": 1.0, "ndcg_at_10": (1 + 1 / np.log2(3)) / 2}
    )
    words = RankingTest(["the lantern"], ["a kettle", "one lantern", "a ladder"], np.array([1]), ["x"])
    assert rank_by_words(words).tolist() == [1]
    assert rank_by_words(words._replace(questions=["nothing of it"])).tolist() == [3]


def test_hard_negatives_are_near_and_wrong(pairs, retriever_run, tmp_path):
    train = load_pairs(str(pairs), seed=1).train
    model = SentenceTransformer(str(retriever_run), device="cpu")
    found = add_hard_negatives(train, model, 2, tmp_path)
    assert found.column_names == ["question", "passage", "negative_1", "negative_2"] and len(found) > len(train) / 2
    known = set(train["passage"])
    right = {}
    for row in train:
        right.setdefault(row["question"], set()).add(row["passage"])
    for row in found:
        assert {row["negative_1"], row["negative_2"]} <= known - right[row["question"]]


def test_pairs_are_drawn_by_article_and_checked(pairs, tmp_path):
    loaded = load_pairs(str(pairs), validation_share=0.2)
    assert loaded.tested_on == "its validation split" and loaded.train.column_names == ["question", "passage"]
    trained = set(loaded.train["passage"])
    assert not trained & set(loaded.validation.passages) and len(set(loaded.test.passages)) == len(loaded.test.passages)
    for test in (loaded.validation, loaded.test):
        assert len(test.questions) == len(test.right) and test.right.max() == len(test.passages) - 1
    assert len(load_pairs(str(pairs), train_pairs=30).train) == 30
    file = tmp_path / "bad.jsonl"
    file.write_text('{"question": "who?", "context": "she"}\n{"question": " ", "context": "he"}\n')
    with pytest.raises(ValueError, match="row 1 of train: question holds no text"):
        load_pairs(str(file))
    with pytest.raises(
        ValueError, match=r"no column 'passage'; it has question, context\. Choose with --passage_column"
    ):
        load_pairs(str(file), passage_column="passage")
    file.write_text('{"question": "who?", "context": "she"}\n' * 3)
    with pytest.raises(ValueError, match="about one article"):
        load_pairs(str(file))
    with pytest.raises(ValueError, match="--train_pairs is 0"):
        load_pairs(str(pairs), train_pairs=0)


def test_questions_without_a_title_are_of_their_passages(tmp_path):
    rows = [
        {"question": f"what {n}", "context": f"text {n // 4} {n % 2}", "title": f"title {n % 30}" if n % 2 else ""}
        for n in range(120)
    ]
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    loaded = load_pairs(str(tmp_path))
    tested = [*loaded.validation.articles, *loaded.test.articles]
    assert any(each.startswith("text") for each in tested) and any(each.startswith("title") for each in tested)
    assert len(set(loaded.validation.articles)) > 3


def test_a_pushed_retriever_works_where_hf_recipes_is_missing(push_run, retriever_run, tmp_path):
    code = f"""
import sys
sys.modules["hf_recipes"] = None
from sentence_transformers import SentenceTransformer
model = SentenceTransformer("local/retriever", device="cpu")
print(model.encode_query(["{THINGS[0]}"])[0].tolist())
"""
    with running_hub(tmp_path / "hub") as endpoint:
        push_run("rag", retriever_run, "local/retriever", endpoint)
        done = run_python("-c", code, env=hub_env(endpoint, tmp_path / "home"))
    ours = SentenceTransformer(str(retriever_run), device="cpu").encode_query([THINGS[0]])[0]
    assert np.allclose(json.loads(done.stdout.splitlines()[-1]), ours, atol=1e-5)
