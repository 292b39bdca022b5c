"""From words with tags to windows of tokens with labels, and back from a label for each word to the tags of a sentence."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerFast

IGNORED = -100  # the label of a token that is not learned from


def check_tokenizer(tokenizer: Any) -> None:
    """Raises a `ValueError` for one that does not say which word a token is part of, or that glues words together."""
    if not getattr(tokenizer, "is_fast", False):
        raise ValueError(
            f"{type(tokenizer).__name__} does not say which word a token belongs to; a fast tokenizer "
            "(AutoTokenizer.from_pretrained(...) gives one for most models) is needed"
        )
    words, text = (
        tokenizer(*each, add_special_tokens=False, is_split_into_words=split)["input_ids"]
        for each, split in ((([["a", "b"]],), True), ((["a b"],), False))
    )
    if words[0][-1:] != text[0][-1:]:
        raise ValueError(
            f"{type(tokenizer).__name__} reads the words of a list as if no space were between them; load it with add_prefix_space=True"
        )


def align_sentences(
    sentences: Sequence[Sequence[str]],
    labels: Sequence[Sequence[int]],
    tokenizer: PreTrainedTokenizerFast,
    *,
    max_length: int = 128,
    stride: int = 32,
    continued: Sequence[int] | None = None,
    joined: bool = False,
) -> dict[str, list]:
    """Windows of tokens, one at least for each sentence, or, with `joined`, for several.

    A sentence of more tokens than fit goes into several windows that overlap by `stride` tokens. Each word is labelled in one of them only,
    that in which it is farthest from a cut, so that no word counts twice and none is without its context.

    Args:
        sentences: words.
        labels: a number for each word.
        tokenizer: a fast one.
        max_length: tokens of a window, special ones included.
        stride: tokens that windows share.
        continued: label every token of a word instead of its first alone, the further ones by the label's entry here.
        joined: read as many sentences together as fit into a window, in their order, so that each is the context of the others (as Schweter
            and Akbik 2020 read the sentences around each).

    Returns:
        `input_ids`, `attention_mask` and, where the tokenizer gives them, `token_type_ids` by window; `labels`, `IGNORED` where a token is
        not learned from: special tokens, words that another window labels and, without `continued`, all but the first token of a word;
        `word`, the number of the word in its sentence whose answer a token gives, and `sentence`, that of its sentence, both `IGNORED` where
        it gives none.

    Raises:
        ValueError: naming the sentence, when its labels are not as many as its words; or when windows cannot share so many tokens.
    """
    check_tokenizer(tokenizer)
    for number, (words, numbers) in enumerate(zip(sentences, labels, strict=True)):
        if len(words) != len(numbers):
            raise ValueError(f"sentence {number} has {len(words)} words and {len(numbers)} tags")
    room = max_length - tokenizer.num_special_tokens_to_add()
    if not 0 <= stride < room:
        raise ValueError(
            f"windows of {max_length} tokens, {room} of them without special ones, cannot share {stride}; give a smaller stride"
        )
    tokenizer.truncation_side = "right"  # windows in the order of the sentence
    if joined:
        passages = join_sentences([len(ids) for ids in tokens_of(sentences, tokenizer)], room)
    else:
        passages = [range(number, number + 1) for number in range(len(sentences))]
    # of each passage, the sentence and the number in it of each of its words
    places = [[(number, word) for number in passage for word in range(len(sentences[number]))] for passage in passages]
    encoded = tokenizer(
        [[sentences[number][word] for number, word in place] for place in places],
        is_split_into_words=True,
        truncation=True,
        max_length=max_length,
        stride=stride,
        return_overflowing_tokens=True,
    )
    owners = np.asarray(encoded["overflow_to_sample_mapping"])
    windows: dict[str, list] = {
        name: values for name, values in encoded.items() if name != "overflow_to_sample_mapping"
    } | {"labels": [], "word": [], "sentence": []}
    firsts = [first_tokens(encoded.word_ids(window)) for window in range(len(owners))]
    best = choose_windows(firsts, owners, [len(ids) for ids in encoded["input_ids"]])
    for window, passage in enumerate(owners):
        word_ids = encoded.word_ids(window)
        target, word, sentence = ([IGNORED] * len(word_ids) for _ in range(3))
        for token, of in enumerate(word_ids):
            if of is None or best[passage, of] != window:
                continue
            number, place = places[passage][of]
            if token == firsts[window].get(of):
                sentence[token], word[token], target[token] = number, place, labels[number][place]
            elif continued is not None:
                target[token] = continued[labels[number][place]]
        windows["labels"].append(target)
        windows["word"].append(word)
        windows["sentence"].append(sentence)
    return windows


def tokens_of(sentences: Sequence[Sequence[str]], tokenizer: PreTrainedTokenizerFast) -> list[list[int]]:
    """Of each sentence, without special tokens."""
    words = [list(each) for each in sentences]
    return tokenizer(words, is_split_into_words=True, add_special_tokens=False, verbose=False)["input_ids"]


def join_sentences(lengths: Sequence[int], room: int) -> list[range]:
    """The numbers of consecutive sentences that fit together, in tokens, into `room`; one that does not fit stands alone."""
    passages, begin, total = [], 0, 0
    for number, length in enumerate(lengths):
        if number > begin and total + length > room:
            passages.append(range(begin, number))
            begin, total = number, 0
        total += length
    return [*passages, range(begin, len(lengths))] if lengths else []


def first_tokens(word_ids: Sequence[int | None]) -> dict[int, int]:
    """The place of the first token of each word in a window."""
    places: dict[int, int] = {}
    for place, word in enumerate(word_ids):
        if word is not None:
            places.setdefault(word, place)
    return places


def choose_windows(places: list[dict[int, int]], owners: np.ndarray, lengths: list[int]) -> dict[tuple[int, int], int]:
    """The window that labels each `(passage, word)`: the one with most tokens between the word and the nearer cut.

    Where a passage begins or ends, nothing is cut.
    """
    best: dict[tuple[int, int], tuple[float, int]] = {}
    for window, of in enumerate(places):
        passage = int(owners[window])
        is_first = window == 0 or owners[window - 1] != passage
        is_last = window + 1 == len(owners) or owners[window + 1] != passage
        for word, place in of.items():
            before = float("inf") if is_first else place
            after = float("inf") if is_last else lengths[window] - 1 - place
            room = min(before, after)
            if (passage, word) not in best or room > best[passage, word][0]:
                best[passage, word] = (room, window)
    return {key: window for key, (_, window) in best.items()}


def join_windows(
    answers: Sequence[np.ndarray],
    words: Sequence[np.ndarray],
    sentences: Sequence[np.ndarray],
    lengths: Sequence[int],
    outside: int | np.ndarray = 0,
) -> list[np.ndarray]:
    """The answer for each word of each sentence, from those of tokens.

    Args:
        answers: by window, a number or a row of numbers for each token.
        words, sentences: by window, `word` and `sentence` of `align_sentences`; `IGNORED` in padding.
        lengths: words of each sentence.
        outside: the answer for a word that the tokenizer drops, such as one of zero-width characters.
    """
    begins = np.concatenate([[0], np.cumsum(lengths, dtype=int)])
    joined = np.repeat(np.asarray(outside)[None], begins[-1], axis=0)
    for answer, word, sentence in zip(answers, words, sentences, strict=True):
        answered = word != IGNORED
        joined[begins[sentence[answered]] + word[answered]] = answer[answered]
    return [joined[begin:end] for begin, end in pairwise(begins)]


def dropped_words(
    lengths: Sequence[int], words: Sequence[Sequence[int]], sentences: Sequence[Sequence[int]]
) -> list[tuple[int, int]]:
    """`(sentence, word)` of the words that have no token.

    Args:
        lengths: words of each sentence.
        words, sentences: `word` and `sentence` of the windows of `align_sentences`.
    """
    words, sentences = [np.asarray(each) for each in words], [np.asarray(each) for each in sentences]
    found = join_windows([np.ones(len(each), int) for each in words], words, sentences, lengths)
    return [(number, int(place)) for number, each in enumerate(found) for place in np.flatnonzero(each == 0)]
