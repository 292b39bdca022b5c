import numpy as np
import pytest
from datasets import Dataset
from gensim.models import KeyedVectors, Word2Vec
from sentence_transformers import SentenceTransformer
from sklearn.feature_extraction.text import TfidfVectorizer

from hf_recipes.word_vectors import WordVectors, document_weights, mean_vectors, train_vectors
from hf_recipes.words import add_words, learn_phrases, make_tokenizer, split_words

DOCUMENTS = [["a", "b", "c", "a"], ["b", "c", "d"], ["a", "d", "d", "e"]] * 20


def test_the_same_seed_gives_the_same_vectors():
    first, again, other = (train_vectors(DOCUMENTS, size=8, epochs=3, min_count=1, seed=seed) for seed in (4, 4, 5))
    assert first.words == again.words and np.array_equal(first.vectors, again.vectors)
    assert not np.allclose(first.vectors, other.vectors)
    ours = train_vectors(DOCUMENTS, size=8, epochs=3, window=4, min_count=1, seed=4, skip_gram=False)
    theirs = Word2Vec(DOCUMENTS, vector_size=8, epochs=3, window=4, min_count=1, seed=4, sg=0, workers=1)
    assert np.array_equal(ours.vectors, theirs.wv.vectors)


def test_a_file_is_read_as_lists_are(tmp_path):
    file = tmp_path / "corpus.txt"
    file.write_text("".join(" ".join(words) + "\n" for words in DOCUMENTS))
    vectors = train_vectors(file, size=8, epochs=3, min_count=1)
    assert sorted(vectors.words) == list("abcde") and dict(zip(vectors.words, vectors.counts.tolist()))["d"] == 60
    several = train_vectors([[*words, "new york"] for words in DOCUMENTS], size=8, epochs=3, min_count=1, workers=2)
    counts = dict(zip(several.words, several.counts.tolist()))
    assert sorted(counts) == ["a", "b", "c", "d", "e", "new york"] and counts["new york"] == len(DOCUMENTS)
    with pytest.raises(ValueError, match="no word occurs 1000 times"):
        train_vectors(DOCUMENTS, min_count=1000)


def test_vectors_come_back_from_files_gensim_and_sentence_transformers(tmp_path):
    vectors = train_vectors(DOCUMENTS, size=8, epochs=3, min_count=1)
    vectors.save(tmp_path)
    for other in (WordVectors.from_pretrained(tmp_path), WordVectors.from_gensim(vectors.to_gensim())):
        assert other.words == vectors.words and np.array_equal(other.vectors, vectors.vectors)
        assert np.array_equal(other.counts, vectors.counts)
    assert not [path for path in tmp_path.iterdir() if path.suffix in (".pkl", ".npy", ".bin", ".model")]
    encoded = SentenceTransformer(str(tmp_path), device="cpu").encode(["A, b! C", "a unknown"])
    expected = mean_vectors([["a", "b", "c"]], vectors)[0]
    assert np.allclose(encoded[0], expected, atol=1e-6)
    assert np.allclose(
        encoded[1], vectors.vectors[vectors.words.index("a")] / 2, atol=1e-6
    )  # zeros for the unknown word
    (tmp_path / "words.json").write_text("{}")
    with pytest.raises(ValueError, match="0 words and 5 vectors"):
        WordVectors.from_pretrained(tmp_path)


def test_entries_that_no_text_holds_are_refused():
    keyed = KeyedVectors(2)
    keyed.add_vectors(["new_york", "road"], np.ones((2, 2)))
    assert WordVectors.from_gensim(keyed).words == ["new york", "road"]
    keyed.add_vectors(["Paris", "c++"], np.ones((2, 2)))
    with pytest.raises(ValueError, match="2 entries, such as 'Paris', are no words of texts"):
        WordVectors.from_gensim(keyed)


def test_weights_are_scikit_learns():
    vectorizer = TfidfVectorizer(analyzer=lambda words: words)
    vectorizer.fit(DOCUMENTS)
    words = list(vectorizer.get_feature_names_out())
    assert np.allclose(document_weights(DOCUMENTS, words), vectorizer.idf_)


def test_means_are_over_known_words():
    vectors = WordVectors(["a", "b"], np.array([2, 1]), np.array([[1, 0], [0, 1]], np.float32))
    found = mean_vectors([["a", "a", "b", "zebra"], ["zebra"], []], vectors)
    assert np.allclose(found, [[2 / 3, 1 / 3], [0, 0], [0, 0]])
    assert np.allclose(mean_vectors([["a", "b"]], vectors, np.array([1.0, 3.0])), [[0.25, 0.75]])


def test_words_are_letters_marks_and_digits():
    assert split_words(["Don’t STOP, rock'n'roll 24/7…", "e\u0301te\u0301", "हिन्दी गीत", "!!"]) == [
        ["don’t", "stop", "rock'n'roll", "24", "7"],
        ["été"],
        ["हिन्दी", "गीत"],
        [],
    ]
    tokenizer = make_tokenizer(["night", "old"])
    assert tokenizer("Old night, newt")["input_ids"] == [3, 2, 1]


def test_phrases_are_one_word_everywhere():
    documents = [["new", "york", "city", "night"], ["the", "new", "york", "road"], ["old", "road", "night"]] * 20
    phrases = learn_phrases(documents, min_count=5, threshold=0.1)
    assert "new york" in phrases and "old night" not in phrases
    assert split_words(["New  York's\nroad", "a new\nYork", "newer york"], ["new york"]) == [
        ["new", "york's", "road"],
        ["a", "new york"],
        ["newer", "york"],
    ]
    tokenizer = make_tokenizer(["road", "new york", "new"])
    assert tokenizer("New York road, new York, york")["input_ids"] == [3, 2, 3, 1]
    vectors = train_vectors([["new york", "road"]] * 5, size=4, epochs=1, min_count=1)
    encoded = vectors.to_sentence_transformer().encode("In New York")
    assert np.allclose(encoded, vectors.vectors[vectors.words.index("new york")] / 2)  # zeros for the other word


@pytest.mark.parametrize("text", ["床前明月光，疑是地上霜\n举头望明月", "ดอกไม้บานในฤดูใบไม้ผลิที่สวยงาม"])
def test_a_language_without_spaces_is_named(text, caplog):
    songs = Dataset.from_dict({"text": ["old road", text, "night"]})
    with pytest.raises(ValueError, match=r"row 1 of train is in a language .* as are 1 of 3: put spaces"):
        add_words(songs, "train")
    few = Dataset.from_dict({"text": [*["old road"] * 20, text]})
    assert add_words(few, "train")["words"][0] == ["old", "road"] and "row 20 of train" in caplog.text
    spaced = Dataset.from_dict({"text": ["床 前 明月 光"]})
    assert add_words(spaced, "train")["words"][0] == ["床", "前", "明月", "光"]
