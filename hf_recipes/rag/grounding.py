"""Whether what is said stands in the passages: without a model, so that the same answer is always judged the same."""

from collections.abc import Sequence
from typing import NamedTuple

from .chunking import sentences_of
from .wording import content_words

SUPPORTED = 0.6  # share of a sentence's content words that two sentences in a row of a passage hold


class Support(NamedTuple):
    """What supports a sentence best.

    Args:
        share: of the sentence's content words that stand there, 0 to 1; 1 for a sentence without any.
        passage: number in the list of passages, None without passages.
        start, end: of the sentences there.
    """

    share: float
    passage: int | None
    start: int
    end: int


def find_support(sentence: str, passages: Sequence[str]) -> Support:
    """The two sentences in a row of a passage that hold most of a sentence's content words."""
    wanted = set(content_words(sentence))
    if not wanted:
        return Support(1.0, None, 0, 0)
    best = Support(0.0, None, 0, 0)
    for number, passage in enumerate(passages):
        units = sentences_of(passage)
        for place, (start, end) in enumerate(units):
            for last in (end, units[min(place + 1, len(units) - 1)][1]):  # one sentence where it is enough
                share = len(wanted & set(content_words(passage[start:last]))) / len(wanted)
                if share > best.share:
                    best = Support(share, number, start, last)
    return best


def unsupported_sentences(answer: str, passages: Sequence[str], least: float = SUPPORTED) -> list[str]:
    """The sentences of an answer that no passage supports."""
    sentences = [answer[start:end].strip() for start, end in sentences_of(answer)]
    return [sentence for sentence in sentences if find_support(sentence, passages).share < least]
