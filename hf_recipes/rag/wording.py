"""The words of a text that say something, each in its stem: what a search by words and the grounding of answers compare."""

import functools

import regex
from gensim.parsing.porter import PorterStemmer

# of English, with what an apostrophe leaves of "bear's", "don't" and "we'll"
NO_CONTENT = frozenset(
    [
        "a",
        "an",
        "the",
        "and",
        "or",
        "but",
        "of",
        "in",
        "on",
        "at",
        "to",
        "for",
        "from",
        "by",
        "with",
        "as",
        "is",
        "are",
        "was",
        "were",
        "be",
        "been",
        "being",
        "it",
        "its",
        "this",
        "that",
        "these",
        "those",
        "he",
        "she",
        "they",
        "his",
        "her",
        "their",
        "him",
        "them",
        "i",
        "you",
        "we",
        "who",
        "whom",
        "whose",
        "which",
        "what",
        "where",
        "when",
        "why",
        "how",
        "do",
        "does",
        "did",
        "has",
        "have",
        "had",
        "not",
        "no",
        "yes",
        "so",
        "there",
        "then",
        "than",
        "s",
        "t",
        "d",
        "m",
        "ll",
        "re",
        "ve",
    ]
)


def split_words(text: str) -> list[str]:
    """In lower case."""
    return regex.findall(r"[\p{L}\p{M}\p{N}]+", text.lower())


def content_words(text: str) -> list[str]:
    """Stems (Porter 1980) of the words that say something, in their order."""
    return [stem(word) for word in split_words(text) if word not in NO_CONTENT]


@functools.lru_cache(maxsize=100_000)
def stem(word: str) -> str:
    return PorterStemmer().stem(word)
