"""Whether what is said stands in the passages: without a model, so that the same answer is always judged the same."""

from collections.abc import Sequence
from typing import NamedTuple

from .chunking import sentences_of
from .wording import content_words

SUPPORTED = 0.6  # share of a sentence's content words that two sentences in a row of a passage hold


class Support(NamedTuple):
    """What supports a sentence best.

    Args:
        share: of the sentence's content words that the question does not hold (of all, where it holds all), those that stand there, 0 to 1; 1
            for a sentence without any.
        passage: number in the list of passages, None without passages.
        start, end: of the sentences there.
    """

    share: float
    passage: int | None
    start: int
    end: int


def find_support(sentence: str, passages: Sequence[str], question: str = "") -> Support:
    """The two sentences in a row of a passage that hold most of a sentence's content words.

    What a sentence repeats of the question proves nothing and does not count.
    """
    said = set(content_words(sentence))
    wanted = said - set(content_words(question)) or said
    if not wanted:
        return Support(1.0, None, 0, 0)
    best = Support(0.0, None, 0, 0)
    for width in (1, 2):  # one sentence where it is enough
        for number, passage in enumerate(passages):
            units = sentences_of(passage)
            for place in range(len(units) + 1 - width):
                start, end = units[place][0], units[place + width - 1][1]
                part = passage[start:end]
                share = len(wanted & set(content_words(part))) / len(wanted)
                if share > best.share:
                    best = Support(share, number, start, start + len(part.rstrip()))
    return best


def ground(answer: str, passages: Sequence[str], question: str = "") -> tuple[list[tuple[int, int, int]], list[str]]:
    """What supports an answer, as passages with start and end, and the sentences of the answer that nothing supports."""
    places: list[tuple[int, int, int]] = []
    unsupported = []
    for start, end in sentences_of(answer):
        sentence = answer[start:end].strip()
        found = find_support(sentence, passages, question)
        if found.share < SUPPORTED:
            unsupported.append(sentence)
        elif found.passage is not None:
            places.append((found.passage, found.start, found.end))
    return list(dict.fromkeys(places)), unsupported
