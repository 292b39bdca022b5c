from functools import partial
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset
from gensim.test.utils import datapath

from hf_recipes.lyrics.data import LoadedSongs
from hf_recipes.lyrics.lexicon import read_lexicon, score_words
from hf_recipes.lyrics.semantics import align, cluster_words, intrinsic_scores, marking_words, shifted_words
from hf_recipes.lyrics.word_report import describe_parts, describe_shifts
from hf_recipes.word_vectors import WordVectors, train_vectors


def make_vectors(number: int = 200, size: int = 6, seed: int = 0) -> WordVectors:
    drawn = np.random.default_rng(seed).normal(size=(number, size)).astype(np.float32)
    return WordVectors([f"word{n}" for n in range(number)], np.arange(number, 0, -1), drawn)


def test_words_that_one_class_has_mark_it():
    documents = [
        ["sea", "the", "the", "day"],
        ["sea", "wave", "the"],
        ["wood", "the", "day"],
        ["wood", "the", "fern"],
    ] * 5
    found = marking_words(documents, ["a", "a", "b", "b"] * 5, most=2)
    assert [word for word, _ in found["a"]] == ["sea", "wave"] and [word for word, _ in found["b"]] == ["wood", "fern"]
    everywhere = dict(marking_words(documents, ["a", "a", "b", "b"] * 5, most=9)["a"])
    assert everywhere["sea"] > 1.5 and abs(everywhere["day"]) < 0.5


def test_turned_spaces_are_turned_back_and_shifted_words_found():
    before = make_vectors()
    turn, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(6, 6)))
    after = (before.vectors @ turn).astype(np.float32)
    words, first, second = align(before, before._replace(vectors=after))
    assert words == before.words and np.allclose(first, second, atol=1e-5)
    after[[7, 31]] = after[[31, 7]]  # two words change their meanings
    agreement, rows = shifted_words(before, before._replace(vectors=after), most=2)
    assert {row["word"] for row in rows} == {"word7", "word31"} and rows[0]["before"] != rows[0]["after"]
    assert 0.97 < agreement < 1
    with pytest.raises(ValueError, match="3 words are in both vocabularies; at least 6"):
        align(before, WordVectors(before.words[:3], before.counts[:3], before.vectors[:3]))


def test_words_that_change_with_the_years_are_found():
    generator = np.random.default_rng(0)
    sky, film = ([f"{topic}{n}" for n in range(20)] for topic in ("sky", "film"))
    rows = {"words": [], "year": []}
    for n in range(400):
        early, topic = n < 200, sky if generator.random() < 0.5 else film
        words = [str(word) for word in generator.choice(topic, 6)]
        # a star is of the sky, then of the films
        rows["words"].append([*words, "star"] if (topic is sky) == early else words)
        rows["year"].append(1950.0 if early else 2000.0)
    split = Dataset.from_dict(
        rows | {"label": [n % 2 for n in range(400)], "group": [f"artist {n // 2}" for n in range(400)]}
    )
    songs = LoadedSongs({"train": split}, ["even", "odd"], 0, 0, None, None)
    train = partial(train_vectors, size=8, window=5, epochs=30, min_count=2)
    (of_classes, of_years), agreements = describe_shifts(songs, train, seed=0)
    assert of_years.table[0]["word"] == "star" and of_years.table[0]["cosine"] < of_years.table[1]["cosine"] - 0.05
    assert 0 < agreements["Words then and now"] < agreements["Words then and now, drawn"] < 1
    assert "the songs up to about 2000" in of_years.text and "even (before) and of odd (after)" in of_classes.text
    # the classes mean nothing
    assert agreements["Words here and there"] == pytest.approx(agreements["Words here and there, drawn"], abs=0.05)
    by_class, by_decade = describe_parts(songs, train([row["words"] for row in split]), train)
    assert [(row["class"], row["songs"]) for row in by_class.table] == [("even", 200), ("odd", 200)]
    nearest = {row["decade"]: row["star"] for row in by_decade.table}
    assert all(word.startswith("sky") for word in nearest["1950s"].split(", "))
    assert all(word.startswith("film") for word in nearest["2000s"].split(", "))
    assert {row["analogies"] for row in by_decade.table} == {"0 of 0"}
    (section, _), agreements = describe_shifts(songs, partial(train, min_count=1000), seed=0)
    assert "cannot be compared: no word occurs 1000 times" in section.text and not agreements


def test_scores_of_benchmarks_and_clusters():
    words = [line.split("\t")[:2] for line in Path(datapath("wordsim353.tsv")).read_text().splitlines()[3:60]]
    names = sorted({word.lower() for pair in words for word in pair} | {"man", "woman", "king", "queen"})
    vectors = make_vectors(len(names))._replace(words=names)
    by_name = {row["benchmark"]: row for row in intrinsic_scores(vectors)}
    assert by_name["WordSim-353, Spearman"]["of known words"] >= 57
    keyed = vectors.to_gensim()
    found = keyed.evaluate_word_pairs(datapath("wordsim353.tsv"))[1]
    assert by_name["WordSim-353, Spearman"]["score"] == pytest.approx(found.statistic, abs=1e-6)
    assert by_name["analogies, share solved"] == {
        "benchmark": "analogies, share solved",
        "of known words": 2,
        "score": None,
    }
    apart = np.repeat(np.eye(3, 6), 20, 0).astype(np.float32) + make_vectors(60).vectors * 0.01
    clusters = cluster_words(make_vectors(60)._replace(vectors=apart), number=3, shown=2)
    assert [row["words"] for row in clusters] == [20, 20, 20]
    groups = [{int(word[4:]) // 20 for word in row["nearest to its centre"].split(", ")} for row in clusters]
    assert sorted(groups, key=min) == [{0}, {1}, {2}]


def test_scores_are_told_where_vectors_know_them(tmp_path):
    vectors = make_vectors(400)
    scores = vectors.vectors @ np.array([1.0, -1, 0, 0, 0, 0]) + 0.1 * np.random.default_rng(2).normal(size=400)
    lines = [f"{word}\t{score:.3f}\t0.5" for word, score in zip(vectors.words[:300], scores)]
    (tmp_path / "lexicon.txt").write_text("\n".join(lines))
    lexicon = read_lexicon(tmp_path / "lexicon.txt")
    assert min(lexicon.values()) == 0 and max(lexicon.values()) == 1 and len(lexicon) == 300
    told = score_words(vectors, lexicon)
    heads = {row["head"]: row for row in told["heads"]}
    assert told["words"] == 300 and heads["ridge"]["R2"] > 0.95 and heads["mean of the scores"]["R2"] <= 0
    assert list(told["found"]) == vectors.words[300:]  # the commonest first
    assert np.corrcoef(list(told["found"].values()), scores[300:])[0, 1] > 0.95
    with pytest.raises(ValueError, match="3 words of the lexicon have a vector"):
        score_words(vectors, dict.fromkeys(vectors.words[:3], 0.5))


def test_the_lexicon_of_a_package_is_read():
    pytest.importorskip("vaderSentiment")
    lexicon = read_lexicon("vader")
    assert len(lexicon) > 7000 and lexicon["love"] > 0.8 > 0.2 > lexicon["murder"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("word,score\ngood,1\nbad\n", r"line 3: \['bad'\] is not a word"),
        ("good,1\nbad,nan\n", r"line 2: \['bad', 'nan'\] is not a word"),
        ("good,1\nfine,1\n", "1 different scores"),
    ],
)
def test_other_files_are_named(text, message, tmp_path):
    (tmp_path / "lexicon.csv").write_text(text)
    with pytest.raises(ValueError, match=f"lexicon.csv.* {message}"):
        read_lexicon(tmp_path / "lexicon.csv")
