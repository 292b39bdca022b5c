"""What the cards of taggers say beyond the numbers of their run."""

from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard, ModelCardData

from ..model_card import CardInfo, describe_data
from .data import LoadedSentences
from .labels import LabelMap
from .metrics import METRICS

# last part of a folder or id -> its name, source and licence
KNOWN_DATA = {
    "conll2003": ("CoNLL-2003, English", "https://www.clips.uantwerpen.be/conll2003/ner/", "other"),
    "wikiann": ("WikiANN", "https://elisa-ie.github.io/wikiann/", "unknown"),
    "wnut_17": (
        "WNUT-17, emerging entities",
        "https://noisy-text.github.io/2017/emerging-rare-entities.html",
        "cc-by-4.0",
    ),
    "cross_ner": ("CrossNER", "https://github.com/zliucr/CrossNER", "mit"),
}
STRATEGIES = {
    "fresh_head": "Its head is new.",
    "own_head": "It went on with its own head.",
    "mapped_head": "Its head was made of the rows of the source's by a map of the label spaces: {map}.",
    "mismatched": "Its head kept the source's names and learned the data's numbers, as with scripts that do not look at names: the failure "
    "of the study, not a model to use. The map that it lacks: {map}.",
    "zero_shot": "It is the source's network as it is: its labels were renamed by a map of the label spaces and put into the order of the data's, where it has "
    "them all, and it was not trained: {map}.",
}
SNIPPET = """
from transformers import pipeline

tag = pipeline("token-classification", model="{model_id}", aggregation_strategy="first")
print(tag("Grete Hermann wrote her thesis in Göttingen."))
"""


def make_card(recipe: Any, label_map: LabelMap | None, loaded: LoadedSentences) -> CardInfo:
    """The card of a run of `recipes/ner.py`, from its arguments, the map that made its head and the data."""
    data, tested_on = describe_data(recipe, KNOWN_DATA), loaded.tested_on
    if recipe.dataset_config:
        data["dataset_name"] += f" ({recipe.dataset_config})"
    base_model, source = describe_source(recipe.model)
    how = STRATEGIES[recipe.strategy].format(map=label_map.describe() if label_map else "")
    updates = (
        f" Low-rank updates of its encoder (rank {recipe.lora_rank}) and the head were trained; they are merged."
        if recipe.lora_rank
        else ""
    )
    hidden = f" {recipe.hide_words:.0%} of the words were hidden in training." if recipe.hide_words else ""
    return CardInfo(
        title=f"{(base_model or 'Tagger').split('/')[-1]} for named entities, {data['dataset_name']}",
        summary=f"Finds named entities. {source}{'' if recipe.strategy == 'zero_shot' else ', fine-tuned'}. {how}{updates}{hidden}",
        pipeline_task="token-classification",
        auto_class="AutoModelForTokenClassification",
        metrics=METRICS,
        snippet=SNIPPET,
        **data,
        dataset_revision=loaded.revision,
        tested_on=tested_on and f"{data['dataset_name']}, {tested_on}",
        recipe="recipes/ner.py",
        limitations=[
            "It knows the types of its training data only, as these were annotated there.",
            f"{'Consecutive sentences are read together' if recipe.join_sentences else 'Sentences are read'} in windows of {recipe.max_length} tokens "
            "here; the stock pipeline needs its `stride` for longer texts.",
            "A word's tag is that of its first token: give the pipeline an aggregation strategy that does not split words, such as `first`."
            + (
                ""
                if recipe.label_all
                else " The other tokens were not learned from, and it finds less in words such as U.S."
            ),
        ],
        citation="Tjong Kim Sang and De Meulder, Introduction to the CoNLL-2003 shared task, 2003. Nakayama, seqeval, 2018.",
        pipeline_tag="token-classification",
        base_model=base_model,
    )


def describe_source(model: str) -> tuple[str | None, str]:
    """The id of the model that a tagger descends from, if it says so, and what it is in words.

    Args:
        model: id, or folder of a run, whose card says what was trained there and on what.
    """
    if not Path(model).is_dir():
        return model, f"`{model}`"
    card = Path(model) / "README.md"
    about = ModelCard.load(card).data if card.is_file() else ModelCardData()
    base = about.base_model[0] if isinstance(about.base_model, list) else about.base_model
    data = [result.dataset_name for result in about.eval_results or []]
    words = f"A tagger of {data[0]}" if data else f"The tagger `{Path(model).name}`"
    return base, words + (f", itself from `{base}`" if base else "")
