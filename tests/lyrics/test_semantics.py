import numpy as np
import pytest

from hf_recipes.lyrics.lexicon import read_lexicon, score_words
from hf_recipes.lyrics.semantics import align, marking_words, shifted_words
from hf_recipes.lyrics.vectors import WordVectors


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
    rows = shifted_words(before, before._replace(vectors=after), most=2)
    assert {row["word"] for row in rows} == {"word7", "word31"} and rows[0]["before"] != rows[0]["after"]
    with pytest.raises(ValueError, match="3 words are in both vocabularies; at least 6"):
        align(before, WordVectors(before.words[:3], before.counts[:3], before.vectors[:3]))


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


@pytest.mark.parametrize(
    ("text", "message"),
    [("word,score\ngood,1\nbad\n", r"line 3: \['bad'\] is not a word"), ("good,1\nfine,1\n", "1 different scores")],
)
def test_other_files_are_named(text, message, tmp_path):
    (tmp_path / "lexicon.csv").write_text(text)
    with pytest.raises(ValueError, match=f"lexicon.csv.* {message}"):
        read_lexicon(tmp_path / "lexicon.csv")
