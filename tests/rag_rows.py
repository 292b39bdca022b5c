"""A tiny embedder, whose vector of a text is the mean of drawn vectors of its words, and documents of own sentences."""

import random
from pathlib import Path

import numpy as np
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from hf_recipes.rag.documents import Document

THINGS = ["lantern", "kettle", "ladder", "basket", "mirror", "hammer", "candle", "pillow", "bucket", "ribbon"]
PLACES = ["attic", "cellar", "garden", "kitchen", "stable", "tower", "bridge", "market", "harbour", "chapel"]
PEOPLE = ["Anna", "Bruno", "Clara", "Dario", "Edith", "Felix", "Greta", "Hugo", "Ida", "Jonas"]
COMMON = [
    "the",
    "a",
    "of",
    "in",
    "to",
    "and",
    "on",
    "it",
    "was",
    "put",
    "found",
    "left",
    "her",
    "his",
    "who",
    "what",
    "where",
    "is",
    "did",
    "with",
    "for",
    "at",
]


def save_embedder(folder: Path, seed: int) -> Path:
    words = [*(word.lower() for word in (*THINGS, *PLACES, *PEOPLE)), *COMMON]
    tokenizer = Tokenizer(models.WordLevel({word: n for n, word in enumerate(["[UNK]", *words])}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    vectors = np.random.default_rng(seed).normal(size=(len(words) + 1, 32)).astype(np.float32)
    vectors[0] *= 0.05
    vectors[-len(COMMON) :] *= 0.05
    SentenceTransformer(modules=[StaticEmbedding(tokenizer, vectors)], device="cpu").save_pretrained(str(folder))
    return folder


def make_story(name: str, seed: int, sentences: int = 40) -> Document:
    """Sentences of who put what where, two a paragraph, in two chapters."""
    generator, lines = random.Random(seed), []
    for _ in range(sentences):
        person, thing, place = (generator.choice(each) for each in (PEOPLE, THINGS, PLACES))
        lines.append(f"{person} put the {thing} in the {place}.")
    paragraphs = [" ".join(lines[n : n + 2]) for n in range(0, sentences, 2)]
    half = len(paragraphs) // 2
    first = "CHAPTER I\n\n" + "\n\n".join(paragraphs[:half]) + "\n\n"
    return Document(
        name, first + "CHAPTER II\n\n" + "\n\n".join(paragraphs[half:]), [("CHAPTER I", 0), ("CHAPTER II", len(first))]
    )
