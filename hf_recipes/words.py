"""From texts to words and phrases: one definition, for word vectors and for the tokenizer of the models that use them."""

import logging
from collections.abc import Iterable, Sequence

import regex
from datasets import Dataset
from gensim.models.phrases import Phrases
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

WORD = r"[\p{L}\p{M}\p{N}]+(?:['’][\p{L}\p{M}]+)*"  # letters with their marks and digits, and apostrophes between them
ENDS = r"(?![\p{L}\p{M}\p{N}]|['’][\p{L}\p{M}])"  # a word does not go on here
PAD, UNKNOWN = "[PAD]", "[UNK]"
# scripts without spaces between words, and the mean length in letters above which words are not told apart
UNSPACED = {
    r"[\p{Han}\p{Hiragana}\p{Katakana}]": 4,
    r"[\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]": 12,
}
MOST_UNSPACED = 0.1  # share of the texts
logger = logging.getLogger(__name__)


def make_tokenizer(vocabulary: Sequence[str]) -> PreTrainedTokenizerFast:
    """A tokenizer of whole words in lower case: padding is 0, words outside the vocabulary are 1, then the vocabulary in its order.

    Entries of the vocabulary with spaces are phrases; where one stands in a text it is one word, the longest first.
    """
    phrases = sorted((entry for entry in vocabulary if " " in entry), key=lambda phrase: (-len(phrase), phrase))
    pattern = rf"(?:{'|'.join(map(regex.escape, phrases))}){ENDS}|{WORD}" if phrases else WORD
    numbers = {word: number for number, word in enumerate([PAD, UNKNOWN, *vocabulary])}
    tokenizer = Tokenizer(models.WordLevel(numbers, unk_token=UNKNOWN))
    spaces = normalizers.Replace(Regex(r"\s+"), " ")
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase(), spaces])
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(pattern), "removed", invert=True)
    inputs = ["input_ids", "attention_mask"]
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=PAD, unk_token=UNKNOWN, model_input_names=inputs, model_max_length=100_000
    )


def split_words(texts: Iterable[str], phrases: Sequence[str] = ()) -> list[list[str]]:
    """The words of each text, in lower case, with the phrases that are among them in one piece."""
    tokenizer = make_tokenizer(phrases).backend_tokenizer
    normalize, split = tokenizer.normalizer.normalize_str, tokenizer.pre_tokenizer.pre_tokenize_str
    return [[word for word, _ in split(normalize(text))] for text in texts]


def learn_phrases(documents: Iterable[Sequence[str]], min_count: int, threshold: float = 10.0) -> list[str]:
    """Pairs of words that stand side by side more often than chance would have it (Mikolov et al. 2013, "Distributed representations of
    words and phrases"), by gensim, with a space between the two.

    Args:
        documents: words of each.
        min_count: a pair occurs more often than this.
        threshold: of gensim's score, (times of the pair - min_count) x vocabulary / (times of the one word x times of the other).
    """
    found = Phrases(documents, min_count=min_count, threshold=threshold, delimiter=" ").export_phrases()
    return sorted(found)


def add_words(split: Dataset, name: str, phrases: Sequence[str] = ()) -> Dataset:
    """The column `words` for the column `text`.

    Raises:
        ValueError: naming the first, when more than a tenth of the texts are in a language that does not write spaces; fewer are told in a
            warning.
    """
    split = split.map(lambda rows: {"words": split_words(rows["text"], phrases)}, batched=True, desc="Words")
    unspaced = [row for row, words in enumerate(split["words"]) if is_unspaced(words)]
    if unspaced:
        problem = (
            f"row {unspaced[0]} of {name} is in a language that does not write spaces between words, as are {len(unspaced)} of {len(split)}: put "
            "spaces between their words, or leave them out"
        )
        if len(unspaced) > MOST_UNSPACED * len(split):
            raise ValueError(problem)
        logger.warning(problem)
    return split


def is_unspaced(words: Sequence[str]) -> bool:
    """Whether most letters are of a script without spaces, in pieces that are longer than its words."""
    letters = "".join(words)
    for script, longest in UNSPACED.items():
        if len(regex.findall(script, letters)) > len(letters) / 2 and len(letters) / len(words) > longest:
            return True
    return False
