import pytest
from datasets import ClassLabel, Dataset, Features, List, Value

from hf_recipes.ner.data import load_sentences
from hf_recipes.ner.schemes import Entity

NAMES = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]


def save(folder, words, tags, names=NAMES, split="train", columns=("tokens", "ner_tags")) -> str:
    folder.mkdir(exist_ok=True)
    feature = ClassLabel(names=names) if names else Value("string")
    features = Features({columns[0]: List(Value("string")), columns[1]: List(feature)})
    Dataset.from_dict({columns[0]: words, columns[1]: tags}, features=features).to_parquet(folder / f"{split}.parquet")
    return str(folder)


WORDS = [["Ann", "Lee", "sings"], ["in", "Rome"], [], ["She", "left"]] * 5
TAGS = [["B-PER", "I-PER", "O"], ["O", "B-LOC"], [], ["O", "O"]] * 5


def test_sentences_with_numbered_tags(tmp_path, caplog):
    loaded = load_sentences(save(tmp_path / "data", WORDS, TAGS))
    assert {name: len(split) for name, split in loaded.splits.items()} == {"train": 12, "test": 2, "validation": 1}
    assert loaded.types == ["PER", "LOC"] and loaded.tags == NAMES
    assert "5 sentences of train have no words" in caplog.text and loaded.tested_on
    indices = sorted(index for split in loaded.splits.values() for index in split["index"])
    assert indices == [index for index in range(20) if index % 4 != 2]  # the data set's own rows
    for split in loaded.splits.values():
        for row in split:
            assert row["words"] == WORDS[row["index"]] and row["tags"] == TAGS[row["index"]]
    everything = sum(
        (loaded.count_entities(name) for name in loaded.splits),
        start=loaded.count_entities("train") - loaded.count_entities("train"),
    )
    assert everything == {"PER": 5, "LOC": 5}
    assert loaded.entities("train", flat=True)[0] in (Entity("PER", 0, 2), Entity("LOC", 1, 2))


def test_splits_are_the_data_sets_own_and_training_sentences_are_drawn(tmp_path):
    folder = tmp_path / "data"
    for split in ("train", "validation", "test"):
        save(folder, WORDS, TAGS, split=split)
    loaded = load_sentences(str(folder), train_sentences=4, seed=3)
    assert {name: len(split) for name, split in loaded.splits.items()} == {"train": 4, "validation": 15, "test": 15}
    assert loaded.tested_on is None
    assert (
        load_sentences(str(folder), train_sentences=4, seed=3).splits["train"]["index"]
        == loaded.splits["train"]["index"]
    )
    with pytest.raises(ValueError, match="--train_sentences is 99; there are 15"):
        load_sentences(str(folder), train_sentences=99)


def test_types_that_no_sentence_holds_are_left_out(tmp_path, caplog):
    """One data set of several domains names the types of all of them."""
    names = ["O", "B-LAW", "I-LAW", "B-PER", "I-PER", "B-SONG", "I-SONG", "B-LOC", "I-LOC"]
    loaded = load_sentences(save(tmp_path / "data", WORDS, TAGS, names=names))
    assert loaded.types == ["PER", "LOC"] and loaded.splits["train"]["tags"][:]
    assert "No sentence holds LAW, SONG, which the data set names" in caplog.text


def test_other_schemes_and_orders_of_types(tmp_path):
    words, tags = [["Ann", "Lee", "in", "Rome"]] * 6, [["B-PER", "L-PER", "O", "U-LOC"]] * 6
    loaded = load_sentences(
        save(tmp_path / "data", words, tags, names=None, columns=("words", "tags")), types=["PER", "LOC"]
    )
    assert loaded.splits["train"][0]["tags"] == ["B-PER", "I-PER", "O", "B-LOC"]
    assert loaded.tags == NAMES
    with pytest.raises(ValueError, match="--types are PER, and the data have LOC, PER"):
        load_sentences(str(tmp_path / "data"), types=["PER"])


def test_tags_outside_the_scheme_are_named_and_may_be_repaired(tmp_path):
    words = [["a", "b"]] * 6
    folder = save(tmp_path / "data", words, [["O", "O"], ["O", "B-LOC"], ["B-LOC", "I-PER"], *[["O", "O"]] * 3])
    with pytest.raises(ValueError, match=r"row 2 of train: word 1: 'I-PER' continues .* in IOB2.*--repair_tags true"):
        load_sentences(folder)
    repaired = load_sentences(folder, repair_tags=True)
    tags = {row["index"]: row["tags"] for split in repaired.splits.values() for row in split}
    assert tags[2] == ["B-LOC", "B-PER"] and tags[1] == ["O", "B-LOC"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"words_column": "text"}, "--words_column 'text' is no column of lists; there are tokens, ner_tags"),
        ({"tags_column": "labels"}, "--tags_column 'labels' is no column of lists"),
    ],
)
def test_columns_are_named(options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        load_sentences(save(tmp_path / "data", WORDS, TAGS), **options)
    with pytest.raises(
        ValueError, match=r"no column ner_tags or tags; it has tokens, entities\. Choose with --tags_column"
    ):
        load_sentences(save(tmp_path / "other", WORDS, TAGS, columns=("tokens", "entities")))


def test_tags_that_are_none_are_named(tmp_path):
    with pytest.raises(ValueError, match="row 1 of train, word 1: the tag is -1; numbers are 0 to 4"):
        load_sentences(save(tmp_path / "minus", [["a"], ["b", "c"]] * 4, [["O"], ["O", -1]] * 4))
    with pytest.raises(ValueError, match="row 1 of train, word 0: 'PER' is no tag"):
        load_sentences(save(tmp_path / "text", [["a"], ["b"]] * 4, [["O"], ["PER"]] * 4, names=None))
    with pytest.raises(ValueError, match="row 0 of train: word 1 is missing"):
        load_sentences(save(tmp_path / "gap", [["a", None]] * 4, [["O", "O"]] * 4))


def test_a_test_without_tags_is_not_used(tmp_path, caplog):
    save(tmp_path / "data", WORDS, TAGS)
    loaded = load_sentences(save(tmp_path / "data", [["a", "b"]], [[-1, -1]], split="test"))
    assert "The test split has no tags" in caplog.text and loaded.tested_on and len(loaded.splits["test"]) == 2


def test_rows_that_do_not_fit_are_named(tmp_path):
    with pytest.raises(ValueError, match="row 1 of train: 2 words and 1 tags"):
        load_sentences(save(tmp_path / "data", [["a"], ["b", "c"]], [["O"], ["O"]]))
    features = Features({"tokens": List(Value("string")), "ner_tags": List(Value("int64"))})
    (tmp_path / "numbers").mkdir()
    rows = Dataset.from_dict({"tokens": [["a"]], "ner_tags": [[0]]}, features=features)
    rows.to_parquet(tmp_path / "numbers/train.parquet")
    with pytest.raises(ValueError, match="ner_tags holds numbers without names"):
        load_sentences(str(tmp_path / "numbers"))
