import json

import pytest
from datasets import Dataset
from question_answering_rows import make_row, save_rows

from hf_recipes.question_answering.data import FEATURES, load_questions, number_articles, with_wrong_contexts


def rows(number: int, **changes) -> list[dict]:
    return [make_row(n) | changes for n in range(number)]


def test_a_validation_split_becomes_the_test_and_articles_stay_together(tmp_path):
    folder = save_rows(tmp_path / "data", train=rows(200), validation=rows(10))
    data = load_questions(str(folder), seed=3)
    assert data.tested_on == "its validation split" and len(data.splits["test"]) == 10
    titles = {name: set(data.splits[name]["title"]) for name in ("train", "validation")}
    assert not titles["train"] & titles["validation"] and 10 <= len(data.splits["validation"]) <= 40
    assert sorted(data.splits["train"]["index"][:] + data.splits["validation"]["index"][:]) == list(range(200))
    few = load_questions(str(folder), seed=3, train_questions=7)
    assert len(few.splits["train"]) == 7 and few.splits["validation"]["index"] == data.splits["validation"]["index"]
    fewer = load_questions(str(folder), seed=3, test_questions=4)
    assert len(fewer.splits["test"]) == 4 and len(fewer.splits["train"]) == len(data.splits["train"])
    assert fewer.tested_on == "4 questions, drawn by the seed, of its validation split"
    for split in ("train", "test"):
        with pytest.raises(ValueError, match=f"--{split}_questions is 999"):
            load_questions(str(folder), **{f"{split}_questions": 999})


def test_squads_nested_form_gives_the_same_rows(tmp_path):
    flat = rows(60)
    articles = [
        {
            "title": row["title"],
            "paragraphs": [
                {
                    "context": row["context"],
                    "qas": [
                        {
                            "id": row["id"],
                            "question": row["question"],
                            "answers": [
                                {"text": text, "answer_start": start}
                                for text, start in zip(row["answers"]["text"], row["answers"]["answer_start"])
                            ],
                        }
                    ],
                }
            ],
        }
        for row in flat
    ]
    (tmp_path / "nested").mkdir()
    for name in ("train-v1.1", "dev-v1.1"):
        (tmp_path / f"nested/{name}.json").write_text(json.dumps({"version": "1.1", "data": articles}))
    nested = load_questions(str(tmp_path / "nested"))
    loaded = load_questions(str(save_rows(tmp_path / "flat", train=flat, validation=flat)))
    for name in ("train", "validation", "test"):
        assert nested.splits[name].to_dict() == loaded.splits[name].to_dict()
    alone = load_questions(str(tmp_path / "nested/train-v1.1.json"))
    assert sum(map(len, alone.splits.values())) == 60 and set(alone.splits["train"]["id"]) <= {
        row["id"] for row in flat
    }
    del articles[3]["paragraphs"][0]["qas"][0]["question"]
    (tmp_path / "nested/train-v1.1.json").write_text(json.dumps({"data": articles}))
    with pytest.raises(
        ValueError, match=r"train-v1\.1\.json: article 3 is not in SQuAD's form \(KeyError\('question'\)"
    ):
        load_questions(str(tmp_path / "nested"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"question": " "}, r"row 2 of train \(id 2\): the question is empty"),
        ({"context": ""}, r"row 2 of train \(id 2\): the context is empty"),
        (
            {"answers": {"text": ["Rome"], "answer_start": [0]}},
            r"row 2 of train .*'Rome' is not at character 0 .*--drop_bad_answers",
        ),
        ({"answers": {"text": ["a"], "answer_start": [-1]}}, "is not at character -1"),
        ({"answers": {"text": ["a", "b"], "answer_start": [0]}}, "2 answers and 1 starts"),
    ],
)
def test_bad_rows_are_named(changes, message, tmp_path):
    bad = [make_row(n) | (changes if n == 2 else {}) for n in range(40)]
    folder = str(save_rows(tmp_path / "data", train=bad, validation=rows(3)))
    with pytest.raises(ValueError, match=message):
        load_questions(folder)


def test_bad_answers_are_left_out_of_the_training_only_if_asked(tmp_path, caplog):
    bad = [make_row(n) | ({"answers": {"text": ["Rome"], "answer_start": [0]}} if n == 2 else {}) for n in range(40)]
    folder = str(save_rows(tmp_path / "data", train=bad, validation=rows(3)))
    data = load_questions(folder, drop_bad_answers=True)
    assert "1 questions of train are left out" in caplog.text
    assert 2 not in {*data.splits["train"]["index"], *data.splits["validation"]["index"]}
    folder = str(save_rows(tmp_path / "tested", train=rows(40), validation=bad))
    with pytest.raises(ValueError, match="row 2 of validation"):
        load_questions(folder, drop_bad_answers=True)  # a test is not made easier


def test_a_test_without_answers_is_not_used(tmp_path, caplog):
    hidden = {"text": [], "answer_start": []}
    folder = save_rows(tmp_path / "data", train=rows(60), validation=rows(7), test=rows(9, answers=hidden))
    data = load_questions(str(folder))
    assert len(data.splits["test"]) == 7 and "The test split has no answers" in caplog.text


def test_titles_may_be_missing(tmp_path):
    untitled = [{key: value for key, value in row.items() if key != "title"} for row in rows(40)]
    for name, some in (("untitled", untitled), ("empty", rows(40, title=None))):
        data = load_questions(str(save_rows(tmp_path / name, train=some, validation=some[:5])))
        assert number_articles(data.splits["train"]).tolist() == list(range(len(data.splits["train"])))  # by context
        assert set(data.splits["test"]["title"]) == {""}
    some = [row | {"title": row["title"] if n % 2 else ""} for n, row in enumerate(rows(100))]
    data = load_questions(str(save_rows(tmp_path / "some", train=some, validation=some[:5])))
    titles = [{title for title in data.splits[name]["title"] if title} for name in ("train", "validation")]
    assert not titles[0] & titles[1] and len(titles[0]) + len(titles[1]) == 25


def test_files_of_rows_and_files_of_one_split_are_told_apart(tmp_path):
    (tmp_path / "rows").mkdir()
    lines = "".join(json.dumps(row) + "\n" for row in rows(40))
    for name in ("train", "validation"):
        (tmp_path / f"rows/{name}.json").write_text(lines)
    assert len(load_questions(str(tmp_path / "rows")).splits["test"]) == 40
    (tmp_path / "twice").mkdir()
    for name in ("train-v1", "train-v2"):
        (tmp_path / f"twice/{name}.json").write_text(json.dumps({"data": []}))
    with pytest.raises(ValueError, match=r"train-v1\.json and .*train-v2\.json are both the train split"):
        load_questions(str(tmp_path / "twice"))


def test_other_forms_are_named(tmp_path):
    folder = save_rows(tmp_path / "data", train=[{"question": "who", "text": "Ann"}] * 3)
    with pytest.raises(ValueError, match="train has no column answers, context; it has question, text"):
        load_questions(str(folder))
    single = [make_row(n) | {"answers": {"text": "Ann", "answer_start": 3}} for n in range(3)]
    with pytest.raises(ValueError, match=r"row 0 of train: answers is .*; it has text and answer_start, both lists"):
        load_questions(str(save_rows(tmp_path / "single", train=single)))


def test_questions_without_answers_stay(tmp_path):
    nothing = {"text": [], "answer_start": []}
    folder = save_rows(tmp_path / "data", train=rows(30), validation=[make_row(0), make_row(1) | {"answers": nothing}])
    assert load_questions(str(folder)).splits["test"]["answers"][:][1] == []


def test_questions_are_asked_of_like_contexts_that_do_not_answer_them():
    texts = ["Ann sang a song.", "Then Bea sang a song.", "ANN and Cem sang.", "A ship sank far away."]
    answers = [["Ann"], ["Bea"], ["Cem"], ["ship"]]
    rows = {
        "id": list("abcd"),
        "title": [""] * 4,
        "question": ["Who sang a song?"] * 4,
        "context": texts,
        "answers": answers,
        "starts": [[text.index(answer)] for text, (answer,) in zip(texts, answers)],
        "index": range(4),
    }
    split = Dataset.from_dict(rows, features=FEATURES)
    wrong = with_wrong_contexts(split, 9, seed=0)
    asked = {(row["id"][0], texts.index(row["context"])) for row in wrong}
    # neither its own nor what holds the words of the answer, whatever their case
    assert asked == {
        ("a", 1),
        ("a", 3),
        ("b", 0),
        ("b", 2),
        ("b", 3),
        *(("c", n) for n in (0, 1, 3)),
        *(("d", n) for n in range(3)),
    }
    assert not any(wrong["answers"]) and not any(wrong["starts"]) and len(set(wrong["id"])) == len(wrong)
    assert with_wrong_contexts(split, 1, seed=0)["id"] == with_wrong_contexts(split, 1, seed=0)["id"]
    assert len(with_wrong_contexts(split, 1, seed=0)) == 4
    many = Dataset.from_dict(
        {name: values * 20 for name, values in split.to_dict().items()}
        | {"context": [f"{text} {n}" for n in range(20) for text in texts]},
        features=FEATURES,
    )
    near = with_wrong_contexts(many.select([1]), 1, seed=0)
    assert not len(near)  # alone
    (near,) = with_wrong_contexts(many.select([1]), 1, seed=0, contexts=many["context"][:])
    assert near["context"] in many["context"][:] and near["question"] == many[1]["question"] and not near["answers"]
    assert all("sang" in row["context"] for row in with_wrong_contexts(many, 1, seed=0) if row["id"][0] in "abc")
