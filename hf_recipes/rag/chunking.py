"""Documents cut into chunks. Every chunk is a span of its document, in one section; together they cover it.

Each chunker takes a text and gives spans `(start, end)`, in order, of which the first starts at 0, the last ends at the end and none is
empty; `cut` applies it to each section of a document.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import regex

from .documents import Document

Span = tuple[int, int]
Chunker = Callable[[str], list[Span]]
# a sentence ends at its mark, and what closes after it, before white space and what is no small letter
SENTENCE_END = regex.compile(r"(?:[.!?…。！？]+[\"'”’»)\]]*\s+(?=[^\p{Ll}\s])|[。！？]|\n{2,})")
ABBREVIATED = regex.compile(r"(?:\b(?:Mr|Mrs|Ms|Dr|St|Prof|No|vs|etc|e\.g|i\.e)|\b\p{Lu})\.\s+$")
PARAGRAPH_END = regex.compile(r"\n{2,}\s*")
SEPARATORS = (
    r"\n{2,}\s*",
    r"\n+\s*",
    r"(?<=[.!?…][\"'”’»)\]]*)\s+",
    r"(?<=[,;:—–-])\s+",
    r"\s+",
)  # the strongest first


class Chunk(NamedTuple):
    """A piece of a document: `document.text[start:end] == text`."""

    text: str
    start: int
    end: int
    section: str


def cut(document: Document, chunker: Chunker) -> list[Chunk]:
    """The chunks of a document, none of which is in two sections."""
    chunks = []
    for title, first, last in document.spans():
        for start, end in chunker(document.text[first:last]):
            chunks.append(Chunk(document.text[first + start : first + end], first + start, first + end, title))
    return chunks


def choose_sizes(kind: str, size: int | None, overlap: int | None) -> tuple[int, int]:
    """What is given, and else what is usual for a chunking: no overlap where the size alone is given and leaves no room for the usual one."""
    usual_size, usual_overlap = USUAL.get(kind, (500, 0))
    size = usual_size if size is None else size
    return size, (usual_overlap if usual_overlap < size else 0) if overlap is None else overlap


def make_chunker(kind: str, size: int, overlap: int = 0, **options: Any) -> Chunker:
    """A chunker by its name.

    Args:
        kind: one of `CHUNKERS`.
        size: of a chunk at most, in the chunker's own unit.
        overlap: of two chunks in a row, in the same unit; below `size`.
        options: of the chunker: `tokenizer`, `encode`.

    Raises:
        ValueError: for an unknown name, and for a size or an overlap that cannot be.
    """
    if kind not in CHUNKERS:
        raise ValueError(f"there is no chunking {kind!r}; there are {', '.join(CHUNKERS)}")
    if size < 1 or not 0 <= overlap < size:
        raise ValueError(
            f"chunks of {size} with an overlap of {overlap} cannot be cut; the overlap is 0 or more, and below the size"
        )
    return lambda text: CHUNKERS[kind](text, size, overlap, **options)


# -- units -----------------------------------------------------------------------------------------
def cut_after(text: str, ends: Iterable[int]) -> list[Span]:
    """Spans from each place to the next, from the start of the text to its end."""
    places = sorted({0, len(text), *ends})
    return list(itertools.pairwise(places))


def sentences_of(text: str) -> list[Span]:
    """Spans of sentences, each with the white space after it; a paragraph ends a sentence."""
    ends = (match.end() for match in SENTENCE_END.finditer(text))
    return cut_after(text, (end for end in ends if not ABBREVIATED.search(text, max(0, end - 12), end)))


def paragraphs_of(text: str) -> list[Span]:
    """Spans between empty lines, each with those after it."""
    return cut_after(text, (match.end() for match in PARAGRAPH_END.finditer(text)))


def windows(number: int, size: int, overlap: int) -> list[Span]:
    """First and last (not included) of `size` units in a row, of which each shares `overlap` units with the one before it."""
    last_start = max(number - overlap, 1)  # what begins later would hold nothing new
    return [(first, min(first + size, number)) for first in range(0, last_start, size - overlap)] if number else []


def join_units(units: Sequence[Span], size: int, overlap: int) -> list[Span]:
    return [(units[first][0], units[last - 1][1]) for first, last in windows(len(units), size, overlap)]


# -- chunkers --------------------------------------------------------------------------------------
def cut_characters(text: str, size: int, overlap: int) -> list[Span]:
    """`size` characters each, of which `overlap` are shared."""
    return windows(len(text), size, overlap)


def cut_tokens(text: str, size: int, overlap: int, tokenizer: Any) -> list[Span]:
    """`size` tokens each, of which `overlap` are shared. White space belongs to the token before it; characters that several tokens share
    are never parted."""
    tokens = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)["offset_mapping"]
    return join_units(cut_after(text, [start for start, end in tokens if end > start][1:]), size, overlap)


def cut_sentences(text: str, size: int, overlap: int) -> list[Span]:
    """`size` sentences each, of which `overlap` are shared."""
    return join_units(sentences_of(text), size, overlap)


def cut_paragraphs(text: str, size: int, overlap: int) -> list[Span]:
    """`size` paragraphs each, of which `overlap` are shared."""
    return join_units(paragraphs_of(text), size, overlap)


def cut_recursively(text: str, size: int, overlap: int) -> list[Span]:
    """At most `size` characters each, cut at the strongest separators that make them short enough; each begins `overlap` characters before
    the end of the one before it."""
    return begin_earlier(merge_pieces(text, 0, len(text), size - overlap), overlap)


def merge_pieces(text: str, start: int, end: int, most: int) -> list[Span]:
    """Pieces of a part of the text, put together again as long as they have at most `most` characters."""
    merged: list[Span] = []
    for first, last in cut_at_separators(text, start, end, most):
        if merged and last - merged[-1][0] <= most:
            merged[-1] = (merged[-1][0], last)
        else:
            merged.append((first, last))
    return merged


def begin_earlier(spans: list[Span], overlap: int) -> list[Span]:
    return [(max(0, start - overlap), end) for start, end in spans]


def cut_at_separators(text: str, start: int, end: int, most: int, level: int = 0) -> Iterator[Span]:
    """Pieces of at most `most` characters of a part of the text: where it is longer, it is cut at each separator of the level, and what is
    still too long at those of the next; without any left, anywhere."""
    if end - start <= most:
        yield start, end
    elif level == len(SEPARATORS):
        for place in range(start, end, most):
            yield place, min(place + most, end)
    else:
        ends = [match.end() for match in regex.finditer(SEPARATORS[level], text, pos=start, endpos=end)]
        places = sorted({start, end, *ends})
        for first, last in itertools.pairwise(places):
            yield from cut_at_separators(text, first, last, most, level + 1)


def cut_sliding(text: str, size: int, overlap: int) -> list[Span]:
    """Whole sentences up to `size` characters; each begins with the sentences that end the one before it, so many that they have `overlap`
    characters at least, if that leaves room for another one. A sentence that is longer is cut recursively."""
    units = [
        (start + first, start + last)
        for start, end in sentences_of(text)
        for first, last in cut_at_separators(text[start:end], 0, end - start, size)
    ]
    found, first = [], 0
    while first < len(units):
        last = first + 1
        while last < len(units) and units[last][1] - units[first][0] <= size:
            last += 1
        found.append((units[first][0], units[last - 1][1]))
        if last == len(units):
            break
        begin = last
        while (
            begin - 1 > first
            and units[last - 1][1] - units[begin][0] < overlap
            and units[last][1] - units[begin - 1][0] <= size
        ):
            begin -= 1
        first = begin
    return found


def cut_by_meaning(
    text: str, size: int, overlap: int, encode: Callable[[list[str]], np.ndarray], share: float = 0.1
) -> list[Span]:
    """Between sentences whose surroundings differ most (a tenth of the places), at most `size` characters, with `overlap` as in
    `cut_recursively`.

    Args:
        text, size, overlap: as everywhere.
        encode: gives the vectors `(texts, size)` of texts.
        share: of the places between sentences at which the text is cut.
    """
    units = sentences_of(text)
    if len(units) < 3:
        return cut_recursively(text, size, overlap)
    around = [
        text[units[max(0, place - 1)][0] : units[min(len(units) - 1, place + 1)][1]] for place in range(len(units))
    ]
    vectors = encode(around)
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-9)
    # a sentence's surroundings hold its neighbours, so that those two apart are compared
    likeness = np.array(
        [vectors[max(0, place - 1)] @ vectors[min(len(units) - 1, place + 2)] for place in range(len(units) - 1)]
    )
    breaks = np.argsort(likeness, kind="stable")[: max(1, round(share * len(likeness)))]
    places = sorted({0, len(text), *(units[place][1] for place in breaks)})
    parts = [merge_pieces(text, first, last, size - overlap) for first, last in itertools.pairwise(places)]
    return begin_earlier(list(itertools.chain.from_iterable(parts)), overlap)


CHUNKERS: dict[str, Callable[..., list[Span]]] = {
    "characters": cut_characters,
    "tokens": cut_tokens,
    "sentences": cut_sentences,
    "paragraphs": cut_paragraphs,
    "recursive": cut_recursively,
    "sliding": cut_sliding,
    "semantic": cut_by_meaning,
}
# size and overlap, each in the chunking's own unit
USUAL = {
    "characters": (500, 100),
    "tokens": (128, 32),
    "sentences": (4, 1),
    "paragraphs": (3, 0),
    "recursive": (500, 100),
    "sliding": (500, 150),
    "semantic": (500, 0),
}
