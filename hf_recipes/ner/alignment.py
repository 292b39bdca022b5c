"""From words with tags to windows of tokens with labels, and back from a label for each word to the tags of a sentence."""

from collections.abc import Sequence
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
) -> dict[str, list]:
    """Windows of tokens, one at least for each sentence.

    A sentence of more tokens than fit goes into several windows that overlap by `stride` tokens. Each word is labelled in one of them only,
    that in which it is farthest from a cut, so that no word counts twice and none is without its context.

    Args:
        sentences: words.
        labels: a number for each word.
        tokenizer: a fast one.
        max_length: tokens of a window, special ones included.
        stride: tokens that windows share.
        continued: label every token of a word instead of its first alone, the further ones by the label's entry here.

    Returns:
        `input_ids`, `attention_mask` and, where the tokenizer gives them, `token_type_ids` by window; `labels`, `IGNORED` where a token is
        not learned from: special tokens, words that another window labels and, without `continued`, all but the first token of a word;
        `word`, the number of the word whose answer a token gives, `IGNORED` where it gives none; and `sentence`, its number.

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
    encoded = tokenizer(
        [list(words) for words in sentences],
        is_split_into_words=True,
        truncation=True,
        max_length=max_length,
        stride=stride,
        return_overflowing_tokens=True,
    )
    owners = np.asarray(encoded["overflow_to_sample_mapping"])
    windows: dict[str, list] = {
        name: values for name, values in encoded.items() if name != "overflow_to_sample_mapping"
    } | {"labels": [], "word": [], "sentence": owners.tolist()}
    places = [first_tokens(encoded.word_ids(window)) for window in range(len(owners))]
    best = choose_windows(places, owners, [len(ids) for ids in encoded["input_ids"]])
    for window, sentence in enumerate(owners):
        word_ids = encoded.word_ids(window)
        target, word = [IGNORED] * len(word_ids), [IGNORED] * len(word_ids)
        for place, of in enumerate(word_ids):
            if of is None or best[sentence, of] != window:
                continue
            if place == places[window].get(of):
                word[place], target[place] = of, labels[sentence][of]
            elif continued is not None:
                target[place] = continued[labels[sentence][of]]
        windows["labels"].append(target)
        windows["word"].append(word)
    return windows


def first_tokens(word_ids: Sequence[int | None]) -> dict[int, int]:
    """The place of the first token of each word in a window."""
    places: dict[int, int] = {}
    for place, word in enumerate(word_ids):
        if word is not None:
            places.setdefault(word, place)
    return places


def choose_windows(places: list[dict[int, int]], owners: np.ndarray, lengths: list[int]) -> dict[tuple[int, int], int]:
    """The window that labels each `(sentence, word)`: the one with most tokens between the word and the nearer cut.

    Where a sentence begins or ends, nothing is cut.
    """
    best: dict[tuple[int, int], tuple[float, int]] = {}
    for window, of in enumerate(places):
        sentence = int(owners[window])
        is_first = window == 0 or owners[window - 1] != sentence
        is_last = window + 1 == len(owners) or owners[window + 1] != sentence
        for word, place in of.items():
            before = float("inf") if is_first else place
            after = float("inf") if is_last else lengths[window] - 1 - place
            room = min(before, after)
            if (sentence, word) not in best or room > best[sentence, word][0]:
                best[sentence, word] = (room, window)
    return {key: window for key, (_, window) in best.items()}


def join_windows(
    answers: Sequence[np.ndarray],
    words: Sequence[np.ndarray],
    sentences: Sequence[int],
    lengths: Sequence[int],
    outside: int = 0,
) -> list[np.ndarray]:
    """The answer for each word of each sentence, from those of tokens.

    Args:
        answers: by window, a number for each token.
        words: by window, `word` of `align_sentences`; `IGNORED` in padding.
        sentences: the number of each window's sentence.
        lengths: words of each sentence.
        outside: the answer for a word that the tokenizer drops, such as one of zero-width characters.
    """
    joined = [np.full(length, outside) for length in lengths]
    for answer, word, sentence in zip(answers, words, sentences, strict=True):
        answered = word != IGNORED
        joined[int(sentence)][word[answered]] = answer[answered]
    return joined


def dropped_words(
    sentences: Sequence[Sequence[str]], owners: Sequence[int], words: Sequence[Sequence[int]]
) -> list[tuple[int, int]]:
    """`(sentence, word)` of the words that have no token.

    Args:
        sentences: words.
        owners, words: `sentence` and `word` of the windows of `align_sentences`.
    """
    found = [np.zeros(len(sentence), bool) for sentence in sentences]
    for owner, of_window in zip(owners, words, strict=True):
        of_window = np.asarray(of_window)
        found[owner][of_window[of_window != IGNORED]] = True
    return [(number, int(place)) for number, each in enumerate(found) for place in np.flatnonzero(~each)]
