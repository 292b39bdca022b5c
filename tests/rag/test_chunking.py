import itertools
import random
from functools import partial

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from hf_recipes.rag.chunking import CHUNKERS, cut, make_chunker, sentences_of
from hf_recipes.rag.documents import Document

ALPHABET = "abcZ ÄéßЖ中文हि👩‍👧\u0301.!?…,;:\"'”)\n\n \t-—_0"


def draw_text(seed: int, length: int) -> str:
    return "".join(random.Random(seed).choices(ALPHABET, k=length))


def draw_document(seed: int) -> Document:
    text, generator = draw_text(seed, 200 + 37 * seed), random.Random(seed)
    starts = sorted({0, *(generator.randrange(len(text)) for _ in range(3))})
    return Document("drawn", text, [(f"section {start}", start) for start in starts])


@pytest.fixture(scope="module")
def words() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]")


def count_letters(texts: list[str]) -> np.ndarray:
    return np.array([[text.count(letter) + 0.1 for letter in "abcZ"] for text in texts])


@pytest.fixture(scope="module")
def options(words) -> dict:
    return {"tokens": {"tokenizer": words}, "semantic": {"encode": count_letters}}


@pytest.mark.parametrize("kind", CHUNKERS)
@pytest.mark.parametrize(("size", "overlap"), [(1, 0), (7, 0), (7, 3), (40, 39), (60, 10), (5000, 100)])
def test_chunks_of_any_text_are_its_spans_and_cover_it(kind, size, overlap, options):
    for seed in range(12):
        document = draw_document(seed)
        chunks = cut(document, make_chunker(kind, size, overlap, **options.get(kind, {})))
        assert all(document.text[chunk.start : chunk.end] == chunk.text != "" for chunk in chunks)
        for title, start, end in document.spans():
            inside = [chunk for chunk in chunks if chunk.section == title]
            assert inside[0].start == start and inside[-1].end == end
            for before, after in itertools.pairwise(inside):
                # none begins after the end of the one before it, and each has something new
                assert before.start <= after.start <= before.end < after.end
        if kind in ("characters", "recursive", "sliding", "semantic"):
            assert max(len(chunk.text) for chunk in chunks) <= size


@pytest.mark.parametrize("kind", ["characters", "recursive", "semantic"])
def test_overlaps_in_characters_are_what_was_asked(kind, options):
    for seed in range(8):
        document = draw_document(seed)._replace(sections=[("", 0)])
        for size, overlap in ((20, 5), (50, 20), (9, 8)):
            chunks = cut(document, make_chunker(kind, size, overlap, **options.get(kind, {})))
            for before, after in itertools.pairwise(chunks):
                assert after.start == max(0, before.end - overlap)


@pytest.mark.parametrize("kind", ["tokens", "sentences", "paragraphs"])
def test_overlaps_in_units_are_what_was_asked(kind, options, words):
    text = "\n\n".join(f"Verse {n} begins. It goes on! Does it end?" for n in range(9))
    document, units = Document("verses", text, [("", 0)]), {}
    for name in ("tokens", "sentences", "paragraphs"):
        units[name] = cut(document, make_chunker(name, 1, **options.get(name, {})))
    assert [len(each) for each in units.values()] == [108, 27, 9]  # words and marks, sentences, verses
    starts = {unit.start: place for place, unit in enumerate(units[kind])}
    chunks = cut(document, make_chunker(kind, 4, 3, **options.get(kind, {})))
    for place, chunk in enumerate(chunks):
        assert starts[chunk.start] == place
        assert sum(chunk.start <= unit.start < chunk.end for unit in units[kind]) == 4


def test_recursive_chunks_end_where_a_text_does():
    text = "One two three. Four five six.\n\nSeven eight, nine ten. Eleven\n\nTwelve"
    assert [text[start:end].strip() for start, end in make_chunker("recursive", 31)(text)] == [
        "One two three. Four five six.",
        "Seven eight, nine ten. Eleven",
        "Twelve",
    ]


def test_sliding_windows_share_whole_sentences():
    text = "Aa aa aa. Bb bb bb. Cc cc cc. Dd dd dd. Ee ee ee."
    spans = make_chunker("sliding", 30, 5)(text)
    assert [text[start:end].strip() for start, end in spans] == [
        "Aa aa aa. Bb bb bb. Cc cc cc.",
        "Cc cc cc. Dd dd dd. Ee ee ee.",
    ]


def test_a_change_of_topic_parts_a_text():
    text = " ".join(["a a a a."] * 6 + ["b b b b."] * 6).replace("a a", "A a").replace("b b", "B b")

    def encode(texts):
        return np.array([[each.lower().count("a"), each.lower().count("b")] for each in texts], float)

    spans = make_chunker("semantic", 1000, encode=encode)(text)
    assert len(spans) == 2 and set(text[slice(*spans[0])]) & set("Bb") == set()


def test_sentences_end_at_their_marks():
    text = 'Mr. Brown met Dr. Green. "Oh!" she said. He had 3.5 pies... and ate. 你好。再见。\n\nEnd'
    assert [text[start:end].strip() for start, end in sentences_of(text)] == [
        "Mr. Brown met Dr. Green.",
        '"Oh!" she said.',
        "He had 3.5 pies... and ate.",
        "你好。",
        "再见。",
        "End",
    ]


def test_sizes_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="there is no chunking 'pages'; there are characters, tokens"):
        make_chunker("pages", 10)
    for size, overlap in ((0, 0), (5, 5), (5, -1)):
        with pytest.raises(ValueError, match=f"chunks of {size} with an overlap of {overlap} cannot be cut"):
            make_chunker("characters", size, overlap)
    assert make_chunker("characters", 5)("") == [] and partial(make_chunker, "sentences", 2)()("") == []
