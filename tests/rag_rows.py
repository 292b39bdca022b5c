"""A tiny embedder, whose vector of a text is the mean of drawn vectors of its words, and documents of own sentences."""

import random
from pathlib import Path

import numpy as np
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, StaticEmbedding, Transformer
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

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


def make_tokenizer() -> Tokenizer:
    words = [*(word.lower() for word in (*THINGS, *PLACES, *PEOPLE)), *COMMON]
    tokenizer = Tokenizer(models.WordLevel({word: n for n, word in enumerate(["[UNK]", *words])}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    return tokenizer


def save_embedder(folder: Path, seed: int) -> Path:
    tokenizer = make_tokenizer()
    vectors = np.random.default_rng(seed).normal(size=(tokenizer.get_vocab_size(), 32)).astype(np.float32)
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


def save_encoder(folder: Path) -> Path:
    """A tiny network of transformers as a model of sentence-transformers."""
    words = PreTrainedTokenizerFast(tokenizer_object=make_tokenizer(), unk_token="[UNK]", pad_token="[UNK]")
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = BertConfig(vocab_size=len(words), max_position_embeddings=32, **size)
    BertModel(config).save_pretrained(folder / "bert")
    words.model_max_length = 32
    words.save_pretrained(folder / "bert")
    transformer = Transformer(str(folder / "bert"))
    SentenceTransformer(modules=[transformer, Pooling(16)], device="cpu").save_pretrained(str(folder))
    return folder


def make_pairs(number: int, seed: int) -> list[dict[str, str]]:
    """Questions about two things and a person, answered by a passage about the places and another person that belong to them: no word is shared
    but common ones."""
    generator, rows = random.Random(seed), []
    for _ in range(number):
        first, second, person = (generator.randrange(number) for number in (10, 10, 5))
        rows.append(
            {
                "question": f"where is the {THINGS[first]} and the {THINGS[second]} of {PEOPLE[person]}",
                "context": f"{PEOPLE[person + 5]} left it in the {PLACES[first]} and the {PLACES[second]}",
                "title": f"article {(7 * first + second + person) % 12}",
            }
        )
    return rows
