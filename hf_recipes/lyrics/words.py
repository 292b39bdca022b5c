"""From texts to words and phrases: one definition, for word vectors and for the tokenizer of the models that use them."""

from collections.abc import Iterable, Sequence

from datasets import Dataset
from gensim.models.phrases import Phrases
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

WORD = r"[\p{L}\p{M}\p{N}]+(?:['’][\p{L}\p{M}]+)*"  # letters with their marks and digits, and apostrophes between them
ENDS = r"(?![\p{L}\p{M}\p{N}]|['’][\p{L}\p{M}])"  # a word does not go on here
PAD, UNKNOWN = "[PAD]", "[UNK]"
MEAN_LENGTH = 20  # letters of a word above which words are not told apart by spaces


def make_tokenizer(vocabulary: Sequence[str]) -> PreTrainedTokenizerFast:
    """A tokenizer of whole words in lower case: padding is 0, words outside the vocabulary are 1, then the vocabulary in its order.

    Entries of the vocabulary with spaces are phrases; where one stands in a text it is one word, the longest first.
    """
    phrases = sorted((entry for entry in vocabulary if " " in entry), key=lambda phrase: (-len(phrase), phrase))
    pattern = rf"(?:{'|'.join(phrases)}){ENDS}|{WORD}" if phrases else WORD
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
        min_count: times that a pair occurs at least.
        threshold: of gensim's score, (times of the pair - min_count) x vocabulary / (times of the one word x times of the other).
    """
    found = Phrases(documents, min_count=min_count, threshold=threshold, delimiter=" ").export_phrases()
    return sorted(found)


def add_words(split: Dataset, name: str, phrases: Sequence[str] = ()) -> Dataset:
    """The column `words` for the column `text`.

    Raises:
        ValueError: when the words are so long that the language must be one that does not write spaces.
    """
    split = split.map(lambda rows: {"words": split_words(rows["text"], phrases)}, batched=True, desc="Words")
    lengths = [len(word) for words in split["words"] for word in words]
    if lengths and sum(lengths) / len(lengths) > MEAN_LENGTH:
        raise ValueError(
            f"the words of {name} have {sum(lengths) / len(lengths):.0f} letters on average: its language seems not to write spaces between them; put spaces "
            "between the words first"
        )
    return split
