"""From texts to words: one definition, for word vectors and for the tokenizer of the models that use them."""

from collections.abc import Iterable, Sequence

from datasets import Dataset
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

WORD = r"[\p{L}\p{M}\p{N}]+(?:['’][\p{L}\p{M}]+)*"  # letters with their marks and digits, and apostrophes between them
PAD, UNKNOWN = "[PAD]", "[UNK]"
MEAN_LENGTH = 20  # letters of a word above which words are not told apart by spaces


def make_tokenizer(vocabulary: Sequence[str]) -> PreTrainedTokenizerFast:
    """A tokenizer of whole words in lower case: padding is 0, words outside the vocabulary are 1, then the vocabulary in its order."""
    numbers = {word: number for number, word in enumerate([PAD, UNKNOWN, *vocabulary])}
    tokenizer = Tokenizer(models.WordLevel(numbers, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(WORD), "removed", invert=True)
    inputs = ["input_ids", "attention_mask"]
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=PAD, unk_token=UNKNOWN, model_input_names=inputs, model_max_length=100_000
    )


def split_words(texts: Iterable[str]) -> list[list[str]]:
    """The words of each text, in lower case."""
    tokenizer = make_tokenizer([]).backend_tokenizer
    normalize, split = tokenizer.normalizer.normalize_str, tokenizer.pre_tokenizer.pre_tokenize_str
    return [[word for word, _ in split(normalize(text))] for text in texts]


def add_words(split: Dataset, name: str) -> Dataset:
    """The column `words` for the column `text`.

    Raises:
        ValueError: when the words are so long that the language must be one that does not write spaces.
    """
    split = split.map(lambda rows: {"words": split_words(rows["text"])}, batched=True, desc="Words")
    lengths = [len(word) for words in split["words"] for word in words]
    if lengths and sum(lengths) / len(lengths) > MEAN_LENGTH:
        raise ValueError(
            f"the words of {name} have {sum(lengths) / len(lengths):.0f} letters on average: its language seems not to write spaces between them; put spaces "
            "between the words first"
        )
    return split
