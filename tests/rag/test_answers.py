import json
from functools import partial

import numpy as np
import pytest
import regex
from conftest import hub_env, load_recipe, run_python, run_tiny_recipe
from hub import card_errors, running_hub
from sentence_transformers import CrossEncoder
from transformers import BertConfig, BertForSequenceClassification

from hf_recipes import PassageIndex, RagPipeline
from hf_recipes.arguments import RecipeTrainingArguments
from hf_recipes.checkpoints import read_json
from hf_recipes.rag.documents import load_documents
from hf_recipes.rag.evaluation import ANSWERS_FILE, Measured, match_meaning, stage_of_failure
from hf_recipes.rag.index import Hit
from hf_recipes.rag.pipeline import Answer, Citation
from hf_recipes.rag.questions import GoldQuestion, held_out, load_questions
from hf_recipes.rag.readers import NOTHING, load_reranker
from hf_recipes.rag.report import READING, RETRIEVAL, summarize
from hf_recipes.rag.scores import (
    cross_fit,
    fit_threshold,
    rarities,
    score_abstention,
    score_answer_text,
    score_citations,
    score_hits,
)

QUESTION = "Who put the lantern in the attic?"
GOLD = GoldQuestion("q", "fact", "Who sang?", ["the old bear"], [(100, 140), (300, 320)])


@pytest.fixture(scope="module")
def book(stories, tmp_path_factory):
    """A folder of a story, and questions about it."""
    folder = tmp_path_factory.mktemp("book")
    (folder / "texts").mkdir()
    (folder / "texts/story.txt").write_text(stories[0].text)
    (document,) = load_documents(str(folder / "texts"))
    rows, seen = [{"document": "a story", "digest": document.digest, "edits": []}], set()
    for match in regex.finditer(r"(\w+) put the (\w+) in the (\w+)\.", document.text):
        if match.groups()[1:] not in seen:
            seen.add(match.groups()[1:])
            kind = "fact" if len(rows) % 3 else "quotation"
            question = f"Who put the {match[2]} in the {match[3]}?"
            rows.append(
                {
                    "id": f"q{len(rows)}",
                    "kind": kind,
                    "question": question,
                    "answers": [match[1]],
                    "evidence": [match.span()],
                }
            )
    for number in range(6):
        question = f"What did the zebra say in verse {number}?"
        rows.append({"id": f"u{number}", "kind": "unanswerable", "question": question, "answers": [], "evidence": []})
    (folder / "questions.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    return folder


@pytest.fixture(scope="module")
def run_answers(book, embedder):
    tiny = {
        "dataset": book / "texts",
        "questions": book / "questions.jsonl",
        "embedder": embedder,
        "judge": embedder,
        "chunking": "sentences",
        "size": 1,
        "overlap": 0,
        "pool": 20,
    }
    return partial(run_tiny_recipe, "rag_answers", tiny)


def test_the_search_is_measured_and_the_index_kept(run_answers, book, tmp_path):
    results = run_answers(tmp_path / "run", method="bm25")
    assert (
        results["all_hit_at_1"] > 0.8 and results["all_evidence_recall"] > 0.8
    )  # the questions have the words of the text
    assert results["passages"] == 42
    assert "all_right" not in results and len(results["examples"]["ids"]) == results["questions"] - 6
    page = (tmp_path / "run/README.md").read_text()
    for expected in (
        "How sure the numbers are",
        "By kind of question",
        "Time and memory",
        "PassageIndex.from_pretrained",
    ):
        assert expected in page
    assert not card_errors(page)
    assert len(PassageIndex.from_pretrained(tmp_path / "run").passages) == 42
    again = run_answers(tmp_path / "run", method="bm25")
    assert again == read_json(tmp_path / "run/all_results.json")
    with pytest.raises(ValueError, match="holds a run of other settings: method"):
        run_answers(tmp_path / "run", method="dense")


def test_answers_are_measured_and_a_killed_run_goes_on(run_answers, readers, tmp_path, monkeypatch):
    extractive = {"reader": readers["extractive"], "rerank": readers["extractive"]}
    run = partial(run_answers, tmp_path / "run", k=2, pool=4, **extractive)
    results = run()
    for name in ("all_right", "test_f1", "eval_semantic", "abstention_f1", "all_grounded", "read_milliseconds"):
        assert name in results
    kept = PassageIndex.from_pretrained(tmp_path / "run")
    asked = kept.config["asked"]
    assert asked["least_score"] == pytest.approx(results["least_score"]) and asked["reader"] == readers["extractive"]
    page = (tmp_path / "run/README.md").read_text()
    for expected in (
        "Saying nothing",
        "Failures by stage",
        "From the passage's rank to the answer",
        "memory after the reader",
    ):
        assert expected in page
    file = tmp_path / "run" / ANSWERS_FILE
    lines = file.read_text().splitlines()
    file.write_text("\n".join(lines[:-3]) + "\n" + lines[-3][:20])  # killed while it wrote
    (tmp_path / "run/all_results.json").unlink()
    asked, answer = [], RagPipeline.answer
    monkeypatch.setattr(RagPipeline, "answer", lambda self, *args: asked.append(args[0]) or answer(self, *args))
    resumed = run()
    assert len(asked) == 3
    volatile = ("seconds", "milliseconds")
    assert {key: value for key, value in resumed.items() if not key.endswith(volatile)} == {
        key: value for key, value in results.items() if not key.endswith(volatile)
    }


def test_options_arrive_where_they_are_read(run_answers, tmp_path, monkeypatch):
    def stop(index, questions, document, search, budget):
        seen.update(search, titles=index.config["titles"], budget=budget)
        raise InterruptedError

    seen: dict = {}
    monkeypatch.setattr(load_recipe("rag_answers"), "search_all", stop)
    with pytest.raises(InterruptedError):
        run_answers(tmp_path / "run", titles=True, relevance=0.6, rank_constant=7, evidence_budget=300)
    assert (
        seen | {"titles": True, "relevance": 0.6, "rank_constant": 7, "budget": 300, "method": "hybrid", "pool": 20}
        == seen
    )
    with pytest.raises(ValueError, match=r"--relevance is 1\.5; it is 0 or more and at most 1"):
        run_answers(tmp_path / "other", relevance=1.5)


def test_halves_and_what_is_held_back_are_counted_apart():
    def measure(kind: str, score: float, right: float, answerable: bool = True) -> Measured:
        gold = GOLD._replace(id=f"{kind}{score}", kind=kind)
        if not answerable:
            gold = gold._replace(answers=[], evidence=[])
        reading = dict.fromkeys(READING, 0.0) | {"right": right} if answerable else {}
        answer = made_answer("x", score=score)
        answer.seconds = dict.fromkeys(("retrieve", "read", "ground"), 0.1)
        return Measured(gold, [], 1.0, dict.fromkeys(RETRIEVAL.values(), right) if answerable else {}, answer, reading)

    # every second of a kind is held out; the right answer of 0.2 is below any score that parts the others
    rows = [
        measure("fact", score, right) for score, right in ((0.9, 1.0), (0.8, 0.0), (0.95, 1.0), (0.85, 1.0), (0.2, 1.0))
    ]
    rows += [measure("none", score, 0.0, answerable=False) for score in (0.4, 0.3)]
    found = summarize(rows, 1.0)
    assert (found["eval_right"], found["test_right"], found["all_right"]) == (1, 0.5, 0.8)
    assert found["right_at_score"] == pytest.approx(3 / 5) and found["right_of_answered"] == pytest.approx(3 / 4)
    assert found["facts_right_at_score"] == pytest.approx(3 / 5) and found["test_mrr"] == 0.5
    assert found["abstention_f1_of_reader"] == 0 and summarize(rows, 1.0, 0.5)["abstention_f1_of_reader"] == 4 / 5


def test_an_answer_of_the_same_meaning_matches(embedder):
    rows = [
        Measured(GOLD._replace(answers=["the lantern"]), [], 0.0, {}, made_answer(text))
        for text in ("lantern", "kettle")
    ]
    match_meaning(rows, str(embedder))
    assert [row.reading["semantic"] for row in rows] == [1.0, 0.0]


def test_a_cross_encoder_orders_passages(tmp_path, letters):
    size = {"vocab_size": len(letters), "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = BertConfig(**size, intermediate_size=32, max_position_embeddings=512, num_labels=1)
    BertForSequenceClassification(config).save_pretrained(tmp_path)
    letters.save_pretrained(tmp_path)
    passages = ["a lantern", "a kettle", "a ladder"]
    scores = load_reranker(str(tmp_path))("What?", passages)
    expected = CrossEncoder(str(tmp_path)).predict([("What?", passage) for passage in passages])
    assert scores == pytest.approx(expected.tolist())


def test_a_measured_index_is_pushed_with_an_embedder_that_others_have(run_answers, push_run, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"is a folder of this machine.*push the embedder"):
        run_answers(tmp_path / "run", push_to_hub=True)
    code = f"""
from hf_recipes import PassageIndex
print([hit.start for hit in PassageIndex.from_pretrained("local/book").search({QUESTION!r}, 5)])
"""
    with running_hub(tmp_path / "hub") as endpoint:
        run_answers(tmp_path / "run")
        # the other process has this folder, too
        monkeypatch.setattr(load_recipe("rag_answers"), "check_portable", lambda embedder: None)
        push_run("rag_answers", tmp_path / "run", "local/book", endpoint)
        done = run_python("-c", code, env=hub_env(endpoint, tmp_path / "home"))
        ours = [each.start for each in PassageIndex.from_pretrained(tmp_path / "run").search(QUESTION, 5)]
    assert json.loads(done.stdout.splitlines()[-1]) == ours


def test_what_is_pushed_is_as_private_as_asked_and_names_no_folder(run_answers, readers, tmp_path, monkeypatch):
    recipe, seen = load_recipe("rag_answers"), {}
    monkeypatch.setattr(recipe, "check_portable", lambda embedder: None)
    monkeypatch.setattr(recipe, "publish_folder", lambda *args, **options: seen.update(options))
    options = {"reader": readers["extractive"], "k": 2, "pool": 4, "push_to_hub": True}
    run_answers(tmp_path / "run", hub_private_repo=True, hub_revision="draft", **options)
    assert seen["private"] is True and seen["revision"] == "draft"
    asked = json.loads((tmp_path / "run/config.json").read_text())["asked"]
    assert "reader" not in asked and asked["k"] == 2 and "least_score" in asked


def test_questions_are_asked_by_one_process(run_answers, tmp_path, monkeypatch):
    monkeypatch.setattr(RecipeTrainingArguments, "world_size", 2)
    with pytest.raises(ValueError, match="2 processes were started"):
        run_answers(tmp_path / "run")


def hit(start: int, end: int, document: str = "book") -> Hit:
    return Hit("x" * (end - start), document, "", start, end, 0, 1.0, {})


def test_hits_are_scored_by_the_places_they_hold():
    hits = [hit(0, 80), hit(90, 130), hit(100, 140, "another"), hit(130, 160), hit(310, 330)]
    scores = score_hits(hits, "book", GOLD.evidence, budget=2000)
    assert (
        scores["reciprocal_rank"] == 0.5 and scores["hit_at_1"] == 0 and scores["hit_at_3"] == scores["hit_at_5"] == 1
    )
    # the one place is found at rank 2, the other at rank 5
    assert scores["ndcg"] == pytest.approx((1 / np.log2(3) + 1 / np.log2(6)) / 2)
    assert score_hits([hit(0, 400)], "book", GOLD.evidence, budget=2000)["ndcg"] == 1  # one passage holds both
    assert scores["evidence_recall"] == pytest.approx((30 + 10 + 10) / 60)
    assert score_hits(hits, "book", GOLD.evidence, budget=80 + 20)["evidence_recall"] == pytest.approx(10 / 60)
    assert score_hits([], "book", GOLD.evidence, budget=100)["reciprocal_rank"] == 0


def made_answer(text: str, citations=(), abstained=False, unsupported=(), score=0.5) -> Answer:
    text = NOTHING if abstained else text
    cited = [Citation("book", "", start, end, "") for start, end in citations]
    return Answer(
        "Who sang?", text, abstained, score, cited, list(unsupported), hits=[hit(90, 130)] * 3, read=3, raw=text
    )


def test_answers_are_scored_by_words_and_places():
    rarity = rarities(["the old bear sang", "the bear slept", "a lamp", "a bear"])
    assert rarity["lamp"] == 1 and 0 < rarity["bear"] < rarity["old"]
    right = score_answer_text(made_answer("It was the old bear.", [(95, 120), (500, 540)]), GOLD, "book", rarity)
    assert (
        right["contains"] == right["right"] == 1 and right["exact_match"] == 0 and right["f1"] == pytest.approx(2 / 3)
    )
    assert right["citation_precision"] == 0.5 and right["citation_recall"] == 0.5 and right["grounded"] == 1
    near = score_answer_text(made_answer("an old bears bear", unsupported=["an old bears bear"]), GOLD, "book", rarity)
    assert near["contains"] == 0 and near["right"] == 1 and near["grounded"] == 0 and near["citation_precision"] is None
    wrong = score_answer_text(made_answer("a goldbear"), GOLD, "book", rarity)
    assert wrong["contains"] == wrong["right"] == 0 and wrong["specificity"] is None  # no word of the text
    assert score_answer_text(made_answer("a lamp"), GOLD, "book", rarity)["specificity"] == 1
    elsewhere = score_answer_text(made_answer("It was the old bear.", [(95, 120)]), GOLD, "another", rarity)
    assert elsewhere["citation_precision"] == elsewhere["citation_recall"] == 0
    echo = GOLD._replace(question="Was it the old bear or the lamp?")
    assert (
        score_answer_text(made_answer("It was, said they, the old bear who sang."), echo, "book", rarity)["right"] == 0
    )
    silent = score_answer_text(made_answer("", abstained=True), GOLD, "book", rarity)
    assert silent["right"] == silent["f1"] == 0 and silent["specificity"] is None and silent["grounded"] is None
    answer = made_answer("", abstained=True)
    answer.raw = "a lamp"
    held_back = score_answer_text(answer, GOLD, "book", rarity)
    assert held_back["grounded"] == 0 and held_back["right"] == 0
    assert score_citations([], "book", GOLD.evidence) == {"citation_precision": None, "citation_recall": 0.0}


def test_a_score_is_fitted_below_which_nothing_is_answered():
    scores = np.array([0.9, 0.8, 0.7, 0.2, 0.1, 0.6])
    answerable = np.array([True, True, True, False, False, True])
    none = np.zeros(6, bool)
    assert 0.2 < fit_threshold(scores, none, answerable) < 0.6
    assert score_abstention(scores < 0.4, answerable) == {
        "abstention_precision": 1.0,
        "abstention_recall": 1.0,
        "abstention_f1": 1.0,
    }
    assert score_abstention(scores < 0.65, answerable)["abstention_precision"] == pytest.approx(2 / 3)
    second = np.array([False, True, False, True, False, True])
    decided, thresholds = cross_fit(scores, none, answerable, second)
    # each half is cut where the other one was: 0.4 of 0.9, 0.7 and 0.1, and 0.4 of 0.8, 0.2 and 0.6
    assert decided.tolist() == [False, False, False, True, True, False] and len(thresholds) == 2
    assert thresholds == pytest.approx([0.4, 0.4])


@pytest.mark.parametrize(
    ("rank", "changes", "expected"),
    [
        (0.0, {}, "the passage was not found"),
        (0.25, {}, "the passage was not found"),  # among four, and three are asked for
        (1 / 3, {"read": 2}, "the passage was found and did not fit into the budget"),
        (1.0, {}, "the reader read the passage and answered something else"),
        (1.0, {"abstained": True}, "a wrong answer was held back"),
        (1.0, {"abstained": True, "raw": ""}, "the reader said nothing"),
    ],
)
def test_a_failure_has_a_stage(rank, changes, expected):
    answer = made_answer("a lamp")
    for name, value in changes.items():
        setattr(answer, name, value)
    each = Measured(GOLD, [], 0.0, {"reciprocal_rank": rank}, answer, {"right": 0.0})
    assert stage_of_failure(each, answer.abstained) == expected
    right = Measured(GOLD, [], 0.0, {"reciprocal_rank": rank}, answer, {"right": 1.0})
    assert stage_of_failure(right, False) is None and stage_of_failure(right, True) == "a right answer was held back"
    unanswerable = Measured(GOLD._replace(answers=[], evidence=[]), [], 0.0, {}, answer)
    assert stage_of_failure(unanswerable, True) is None
    assert stage_of_failure(unanswerable, False) == "answered what the text does not say"


def test_every_second_question_of_a_kind_is_held_out():
    kinds = ["a", "b", "a", "a", "b", "c"]
    questions = [GOLD._replace(id=str(n), kind=kind) for n, kind in enumerate(kinds)]
    assert held_out(questions).tolist() == [False, False, True, False, True, False]


def test_questions_that_do_not_fit_are_named(book, stories, tmp_path):
    documents = load_documents(str(book / "texts"))
    document, questions = load_questions(book / "questions.jsonl", documents)
    assert document.name == "story.txt" and sum(not each.answerable for each in questions) == 6
    with pytest.raises(ValueError, match="places in another edition are others"):
        load_questions(book / "questions.jsonl", [stories[1]])
    head = json.dumps({"digest": document.digest})
    good = {"id": "1", "kind": "fact", "question": "Who?", "answers": ["she"], "evidence": [[0, 4]]}
    for row, message in (
        ("{", "line 2 of .* is not JSON"),
        (json.dumps({"id": "1"}), "line 2 of .* has no answers, evidence, kind, question"),
        (json.dumps([1]), "line 2 of .* is no question"),
        (json.dumps(good | {"answers": "she"}), "answers is a list of texts"),
        (json.dumps(good | {"evidence": [[5]]}), r"evidence is a list of \[start, end\]"),
        (json.dumps(good | {"answers": []}), "both given, or none"),
        (json.dumps(good | {"evidence": [[5, 10**6]]}), "5 to 1000000 is no place in a text of"),
        (json.dumps(good) + "\n" + json.dumps(good), "two questions have one id"),
    ):
        (tmp_path / "bad.jsonl").write_text(f"{head}\n{row}\n")
        with pytest.raises(ValueError, match=message):
            load_questions(tmp_path / "bad.jsonl", documents)
    (tmp_path / "bad.jsonl").write_text(json.dumps(good))
    with pytest.raises(ValueError, match="first line"):
        load_questions(tmp_path / "bad.jsonl", documents)
    with pytest.raises(FileNotFoundError, match="no such file of questions"):
        load_questions(tmp_path / "none.jsonl", documents)
