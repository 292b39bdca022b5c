import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from hf_recipes.ner.alignment import IGNORED, align_sentences, check_tokenizer, dropped_words, join_windows


def random_sentences(number: int, most_words: int = 40) -> tuple[list[list[str]], list[list[int]]]:
    generator = np.random.default_rng(0)
    sentences = [
        [
            "".join(generator.choice(list("abcdefg"), generator.integers(1, 9)))
            for _ in range(generator.integers(1, most_words))
        ]
        for _ in range(number)
    ]
    return sentences, [generator.integers(0, 9, len(words)).tolist() for words in sentences]


@pytest.mark.parametrize("joined", [False, True])
@pytest.mark.parametrize("continued", [None, range(100)])
@pytest.mark.parametrize("stride", [0, 5, 12])
def test_every_word_is_labelled_once_whatever_the_windows(letters, stride, continued, joined):
    sentences, labels = random_sentences(60)
    windows = align_sentences(
        sentences, labels, letters, max_length=32, stride=stride, continued=continued, joined=joined
    )
    assert max(map(len, windows["input_ids"])) == 32 and len(windows["sentence"]) > 2 * len(sentences)
    seen = [
        (sentence, word, label)
        for rows in zip(windows["sentence"], windows["word"], windows["labels"])
        for sentence, word, label in zip(*rows)
        if word != IGNORED
    ]
    everything = [(number, place) for number, words in enumerate(sentences) for place in range(len(words))]
    assert sorted(seen) == [(number, place, labels[number][place]) for number, place in everything]
    for sentence, words in zip(windows["sentence"], windows["word"]):
        assert [each == IGNORED for each in sentence] == [each == IGNORED for each in words]
    learned = sum(label != IGNORED for target in windows["labels"] for label in target)
    if continued:
        assert learned > len(everything)  # letters in the middle of words are learned from as well
    else:
        assert learned == len(everything)


def test_a_short_sentence_by_hand(letters):
    windows = align_sentences([["Ann", "of", "K"]], [[1, 0, 5]], letters)
    assert letters.convert_ids_to_tokens(windows["input_ids"][0]) == [
        "[CLS]",
        "a",
        "##n",
        "##n",
        "o",
        "##f",
        "k",
        "[SEP]",
    ]
    assert windows["labels"] == [[IGNORED, 1, IGNORED, IGNORED, 0, IGNORED, 5, IGNORED]]
    assert windows["word"] == [[IGNORED, 0, IGNORED, IGNORED, 1, IGNORED, 2, IGNORED]]
    assert windows["sentence"] == [[IGNORED, 0, IGNORED, IGNORED, 0, IGNORED, 0, IGNORED]]
    inside = [0, 2, 2, 4, 4, 6, 6]  # B- is followed by I-
    everywhere = align_sentences([["Ann", "of", "K"]], [[1, 0, 5]], letters, continued=inside)
    assert everywhere["labels"] == [[IGNORED, 1, 2, 2, 0, 0, 5, IGNORED]]


def test_sentences_that_fit_together_share_a_window(letters):
    sentences = [["Ann"], ["of", "K"], ["a"] * 12, ["b"], ["c"]]
    labels = [[1], [2, 3], [4] * 12, [5], [6]]
    windows = align_sentences(sentences, labels, letters, max_length=10, stride=2, joined=True)
    read = [letters.convert_ids_to_tokens(ids)[1:-1] for ids in windows["input_ids"]]
    assert read == [["a", "##n", "##n", "o", "##f", "k"], ["a"] * 8, ["a"] * 6, ["b", "c"]]
    assert windows["labels"][0] == [IGNORED, 1, IGNORED, IGNORED, 2, IGNORED, 3, IGNORED]
    assert windows["sentence"][0] == [IGNORED, 0, IGNORED, IGNORED, 1, IGNORED, 1, IGNORED]
    assert windows["word"][0] == [IGNORED, 0, IGNORED, IGNORED, 0, IGNORED, 1, IGNORED]
    assert windows["sentence"][3] == [IGNORED, 3, 4, IGNORED] and windows["word"][3] == [IGNORED, 0, 0, IGNORED]


def test_a_word_is_labelled_where_it_is_farthest_from_a_cut(letters):
    words = ["a"] * 20  # windows of 8 words that share 4
    windows = align_sentences([words], [[0] * 20], letters, max_length=10, stride=4)
    owned = [[word for word in window if word != IGNORED] for window in windows["word"]]
    assert owned == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9], [10, 11, 12, 13], [14, 15, 16, 17, 18, 19]]


@pytest.mark.parametrize("joined", [False, True])
def test_answers_come_back_in_the_order_of_words(letters, joined):
    sentences, labels = random_sentences(40)
    windows = align_sentences(sentences, labels, letters, max_length=24, stride=8, joined=joined)
    longest = max(map(len, windows["word"]))

    def pad(rows):
        return np.array([row + [IGNORED] * (longest - len(row)) for row in rows])

    shuffled = np.random.default_rng(1).permutation(len(windows["word"]))
    joined = join_windows(
        pad(windows["labels"])[shuffled],
        pad(windows["word"])[shuffled],
        pad(windows["sentence"])[shuffled],
        [len(words) for words in sentences],
    )
    assert [each.tolist() for each in joined] == labels


def test_words_that_the_tokenizer_drops_are_outside(letters):
    sentences = [["a", "\u200b", "b"], ["\ufeff"]]
    windows = align_sentences(sentences, [[3, 4, 5], [6]], letters)
    assert dropped_words([3, 1], windows["word"], windows["sentence"]) == [(0, 1), (1, 0)]
    longest = max(map(len, windows["word"]))
    words, owners = (
        np.array([row + [IGNORED] * (longest - len(row)) for row in windows[name]]) for name in ("word", "sentence")
    )
    joined = join_windows(np.full_like(words, 7), words, owners, [3, 1])
    assert [each.tolist() for each in joined] == [[7, 0, 7], [0]]


def test_bad_input_is_named(letters):
    with pytest.raises(ValueError, match="sentence 1 has 2 words and 1 tags"):
        align_sentences([["a"], ["b", "c"]], [[0], [0]], letters)
    with pytest.raises(ValueError, match="windows of 10 tokens, 8 of them without special ones, cannot share 8"):
        align_sentences([["a"]], [[0]], letters, max_length=10, stride=8)
    check_tokenizer(letters)
    glued = Tokenizer(models.BPE({"a": 0, "b": 1, "Ġ": 2, "Ġb": 3, "Ġa": 4}, [("Ġ", "b"), ("Ġ", "a")]))
    for space in (True, False):  # as byte-level tokenizers do, which begin the words of a list with a space or not
        glued.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=space)
        if space:
            check_tokenizer(PreTrainedTokenizerFast(tokenizer_object=glued))
        else:
            with pytest.raises(ValueError, match="load it with add_prefix_space=True"):
                check_tokenizer(PreTrainedTokenizerFast(tokenizer_object=glued))
    with pytest.raises(ValueError, match="object does not say which word a token belongs to"):
        check_tokenizer(object())
