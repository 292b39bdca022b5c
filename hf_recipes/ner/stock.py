"""What the stock pipeline of transformers makes of a tagger."""

from collections.abc import Sequence

from transformers import PreTrainedModel, PreTrainedTokenizerFast, pipeline

from .schemes import Entity


def find_by_pipeline(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, sentences: Sequence[Sequence[str]]
) -> list[list[Entity]]:
    """Entities in characters, of sentences whose words stand with a space between them.

    The pipeline takes the likeliest label of each token by itself, and with `aggregation_strategy="first"` that of the first token of a word;
    what stands around an inner hyphen or point are words of their own to it.
    """
    find = pipeline(
        "token-classification", model=model, tokenizer=tokenizer, aggregation_strategy="first", device=model.device
    )
    texts = [" ".join(words) for words in sentences]
    found = find(texts, batch_size=16)
    return [[Entity(each["entity_group"], each["start"], each["end"]) for each in of_text] for of_text in found]


def in_characters(entities: Sequence[Entity], words: Sequence[str]) -> list[Entity]:
    """Entities of words as those of a text in which a space stands between the words."""
    begins = [0]
    for word in words:
        begins.append(begins[-1] + len(word) + 1)
    return [Entity(each.type, begins[each.start], begins[each.end] - 1) for each in entities]
