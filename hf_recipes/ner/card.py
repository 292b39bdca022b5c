"""What the cards of taggers say beyond the numbers of their run."""

from pathlib import Path
from typing import Any

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
    "zero_shot": "It is the source's network as it is: its labels were renamed by a map of the label spaces, and it was not trained: {map}.",
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
    name = recipe.model.rstrip("/").split("/")[-1]
    how = STRATEGIES[recipe.strategy].format(map=label_map.describe() if label_map else "")
    updates = (
        f" Low-rank updates of its encoder (rank {recipe.lora_rank}) and the head were trained; they are merged."
        if recipe.lora_rank
        else ""
    )
    return CardInfo(
        title=f"{'Tagger' if Path(recipe.model).is_dir() else name} for named entities, {data['dataset_name']}",
        summary=f"Finds named entities. `{name}`{'' if recipe.strategy == 'zero_shot' else ' fine-tuned'}. {how}{updates}",
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
            f"Sentences are read in windows of {recipe.max_length} tokens here; the stock pipeline needs its `stride` for longer ones.",
            "A tag belongs to the first token of a word: give the pipeline an aggregation strategy that does not split words.",
        ],
        citation="Tjong Kim Sang and De Meulder, Introduction to the CoNLL-2003 shared task, 2003. Nakayama, seqeval, 2018.",
        pipeline_tag="token-classification",
        base_model=None if Path(recipe.model).is_dir() else recipe.model,
    )
