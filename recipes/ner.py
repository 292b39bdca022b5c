"""Find named entities, with an encoder or with a tagger whose head speaks of other types.

    accelerate launch recipes/ner.py --config recipes/ner/source_conll2003.yaml
    accelerate launch recipes/ner.py --config recipes/ner/wnut17_mapped.yaml --model FOLDER_OR_ID_OF_THE_FIRST

Any data set of words and tags will do; `--help` explains every option.
"""

import logging
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import torch
from datasets import Dataset
from transformers import AutoConfig, AutoModelForTokenClassification, AutoTokenizer, PreTrainedModel, set_seed

from hf_recipes.arguments import DatasetArguments, RecipeTrainingArguments, check_ranges, check_read
from hf_recipes.lora import add_lora
from hf_recipes.ner.alignment import check_tokenizer
from hf_recipes.ner.analysis import analyse
from hf_recipes.ner.augmentation import HideWords
from hf_recipes.ner.card import make_card
from hf_recipes.ner.data import LoadedSentences, load_sentences
from hf_recipes.ner.decoding import scheme_of
from hf_recipes.ner.head import check_labels, check_numbers, rename_labels, replace_head, tags_of
from hf_recipes.ner.labels import LabelMap, check_map, map_by_name, map_by_predictions, read_map, types_of
from hf_recipes.ner.metrics import entities_of
from hf_recipes.ner.windows import (
    WindowCollator,
    make_compute,
    make_windows,
    reduce_batch,
    tag_sentences,
)
from hf_recipes.pretrained import (
    check_weights,
    encoder_layers,
    errors_only,
    find_head,
    longest_window,
    set_dropout,
)
from hf_recipes.run import launch, run
from hf_recipes.training import RecipeTrainer

logger = logging.getLogger("hf_recipes.ner")
PARTS = ("train", "validation", "test")


MAPPED_BY = 1000  # sentences that a map is suggested from
STRATEGIES = ("fresh_head", "own_head", "mapped_head", "mismatched", "zero_shot")
MAPPED = ("mapped_head", "mismatched", "zero_shot")
TRAINED = tuple(strategy for strategy in STRATEGIES if strategy != "zero_shot")
# the strategies that an option is for, where it is not for all
READ_BY = {
    "map": MAPPED,
    "new_types": ("mapped_head",),
    "lora_rank": TRAINED,
    "label_all": TRAINED,
    "learn_padding": TRAINED,
    "hide_words": TRAINED,
    "join_sentences": ("fresh_head", "own_head", "mapped_head"),  # the source's own answers are to sentences alone
}


@dataclass
class NerArguments(DatasetArguments):
    """Train a tagger of named entities, test it, and write its card."""

    dataset_config: str | None = field(default=None, metadata={"help": "Configuration of a data set that has several."})
    words_column: str | None = field(default=None, metadata={"help": "Column of words; tokens or words if not given."})
    tags_column: str | None = field(default=None, metadata={"help": "Column of tags; ner_tags or tags if not given."})
    types: list[str] | None = field(
        default=None, metadata={"help": "Order of the types in the label space; that of the data if not given."}
    )
    repair_tags: bool = field(default=False, metadata={"help": "Repair tags that cannot stand where they do."})
    validation_share: float = field(
        default=0.1, metadata={"help": "Share of the training sentences that validates, where there is no such split."}
    )
    test_share: float = field(
        default=0.1, metadata={"help": "Share of the training sentences that tests, where there is no such split."}
    )
    train_sentences: int | None = field(
        default=None, metadata={"help": "Train on so many sentences, drawn by the seed; all if not given."}
    )
    model: str = field(
        default="sentence-transformers/all-MiniLM-L6-v2", metadata={"help": "An encoder or a tagger: id or folder."}
    )
    strategy: Literal["auto", "fresh_head", "own_head", "mapped_head", "mismatched", "zero_shot"] = field(
        default="auto",
        metadata={
            "help": "The head. fresh_head: a new one. own_head: the tagger's own, whose labels must be those of the data. mapped_head: made of the "
            "rows of the tagger's own by a map of its types. zero_shot: the tagger's own under the map's names, not trained. mismatched: the "
            "tagger's own under its own names, trained on the data's numbers whatever they mean, to see what goes wrong. auto: own_head if the "
            "model is a tagger, else fresh_head."
        },
    )
    map: str = field(
        default="names",
        metadata={
            "help": "Which types of the tagger become which of the data: as their `names` tell; as the tagger's `predictions` on the training sentences "
            "tell; or as a YAML file says for all its types, or that file's text: {PER: person, ORG: null}. Under `related` it may say which types "
            "of the data are kinds of which of the tagger's, one or several: {PER: null, related: {politician: PER}}."
        },
    )
    new_types: Literal["related", "fresh"] = field(
        default="related",
        metadata={
            "help": "Where the rows of types begin that the tagger does not have: at that of the type which they are a kind of, or at random."
        },
    )
    lora_rank: int = field(
        default=0,
        metadata={
            "help": "Rank of low-rank updates of the encoder, which are trained instead of its weights (LoRA); 0 trains all of it."
        },
    )
    dropout: float | None = field(
        default=None,
        metadata={
            "help": "Share of the encoder's activations that are dropped in training; as its config says if not given."
        },
    )
    max_length: int = field(default=128, metadata={"help": "Tokens of a window."})
    stride: int = field(default=32, metadata={"help": "Tokens that the windows of a long sentence share."})
    join_sentences: bool = field(
        default=False,
        metadata={
            "help": "Read as many sentences together as --max_length tokens hold, in training and test: for data whose sentences follow each "
            "other in texts. A batch is of windows, so take fewer of them."
        },
    )
    label_all: bool = field(
        default=True,
        metadata={
            "help": "Learn from every token of a word, not only its first: the stock pipeline reads the others, too."
        },
    )
    hide_words: float = field(
        default=0.0,
        metadata={
            "help": "Share of the words of training that are hidden behind the mask token, so that types are learned from the context, too."
        },
    )
    learn_padding: bool = field(
        default=False,
        metadata={
            "help": "Pad every window to --max_length and learn padding as label 0, as scripts do that pad labels as they pad tokens; to "
            "see what it costs."
        },
    )


def main(recipe: NerArguments, args: RecipeTrainingArguments) -> dict[str, Any]:
    set_seed(args.seed)
    with args.main_process_first():
        data = load_sentences(
            recipe.dataset,
            config=recipe.dataset_config,
            revision=recipe.dataset_revision,
            words_column=recipe.words_column,
            tags_column=recipe.tags_column,
            types=recipe.types,
            repair_tags=recipe.repair_tags,
            validation_share=recipe.validation_share,
            test_share=recipe.test_share,
            train_sentences=recipe.train_sentences,
            seed=args.seed,
        )
    recipe.strategy = choose_strategy(recipe)
    check_options(recipe, data)
    tokenizer, sizes = load_tokenizer(recipe)
    model, label_map = make_model(recipe, data, tokenizer, sizes)
    learned = None if recipe.strategy == "zero_shot" else data.tags
    windows = {
        name: make_windows(
            data.splits[name],
            learned,
            tokenizer,
            label_all=recipe.label_all,
            joined=recipe.join_sentences,
            part=part,
            **sizes,
        )
        for part, name in enumerate(PARTS)
    }
    trainer = make_trainer(recipe, args, data, windows, model, tokenizer, label_map)
    source = load_tagger(recipe) if recipe.strategy in ("mismatched", "zero_shot") else None
    mapped_by = min(len(data.splits["train"]), MAPPED_BY) if recipe.map == "predictions" else 0
    report = partial(
        analyse,
        data=data,
        strategy=recipe.strategy,
        label_map=label_map,
        source=source,
        mapped_by=mapped_by,
        joined=recipe.join_sentences,
        **sizes,
    )
    return run(trainer, recipe, windows["test"], report, train=recipe.strategy != "zero_shot")


def make_trainer(
    recipe: NerArguments,
    args: RecipeTrainingArguments,
    data: LoadedSentences,
    windows: dict[str, Dataset],
    model: PreTrainedModel,
    tokenizer: Any,
    label_map: LabelMap | None,
) -> RecipeTrainer:
    return RecipeTrainer(
        model=model,
        args=args,
        card=make_card(recipe, label_map, data),
        train_dataset=windows["train"],
        eval_dataset=windows["validation"],
        data_collator=WindowCollator(tokenizer, recipe.max_length if recipe.learn_padding else None),
        augment=HideWords(tokenizer, recipe.hide_words) if recipe.hide_words else None,
        processing_class=tokenizer,
        compute_metrics=make_compute(
            dict(enumerate(data.splits[name] for name in PARTS)), tags_of(model), scheme_of(model)
        ),
        reduce=reduce_batch,
    )


def choose_strategy(recipe: NerArguments) -> str:
    if recipe.strategy != "auto":
        return recipe.strategy
    architectures = AutoConfig.from_pretrained(recipe.model).architectures or [""]
    return "own_head" if architectures[0].endswith("ForTokenClassification") else "fresh_head"


def check_options(recipe: NerArguments, data: LoadedSentences) -> None:
    """Refuses what cannot be and options that the strategy does not read."""
    check_ranges(
        recipe,
        {
            "lora_rank": (0, None),
            "dropout": (0, 1),
            "hide_words": (0, 1),
            "stride": (0, None),
            "max_length": (3, None),
        },
    )
    check_read(recipe, READ_BY)
    if recipe.join_sentences and (recipe.train_sentences or data.tested_on):
        drawn = "--train_sentences draws sentences" if recipe.train_sentences else "the test's sentences are drawn"
        raise ValueError(f"{drawn}, which then do not follow each other: leave --join_sentences out")


def load_tokenizer(recipe: NerArguments) -> tuple[Any, dict[str, int]]:
    """The tokenizer, and the sizes of windows, which the model has to be able to read."""
    # the words of a list have spaces between them, which byte-level tokenizers want to be told
    tokenizer = AutoTokenizer.from_pretrained(recipe.model, add_prefix_space=True)
    check_tokenizer(tokenizer)
    longest = longest_window(AutoConfig.from_pretrained(recipe.model), tokenizer)
    if recipe.max_length > longest:
        raise ValueError(f"--max_length is {recipe.max_length}, and {recipe.model} reads {longest} tokens at once")
    return tokenizer, {"max_length": recipe.max_length, "stride": recipe.stride}


def load_tagger(recipe: NerArguments) -> PreTrainedModel:
    config = AutoConfig.from_pretrained(recipe.model)
    set_dropout(config, recipe.dropout)
    with errors_only():
        model, info = AutoModelForTokenClassification.from_pretrained(
            recipe.model, config=config, dtype=torch.float32, output_loading_info=True
        )
    check_weights(model, info["missing_keys"], recipe.model, recipe.strategy == "fresh_head")
    return model


def make_model(
    recipe: NerArguments, data: LoadedSentences, tokenizer: Any, sizes: dict[str, int]
) -> tuple[PreTrainedModel, LabelMap | None]:
    """The tagger with a head for the strategy, and the map of its types to the data's, if it has any."""
    model, label_map = load_tagger(recipe), None
    if recipe.strategy in MAPPED:
        label_map = make_map(recipe, data, model, tokenizer, sizes)
        if recipe.strategy != "mismatched":
            check_map(label_map, related_too=recipe.strategy == "mapped_head")
        logger.info("The map of the label spaces: %s", label_map.describe())
    if recipe.strategy == "own_head":
        check_labels(model, data.tags)
        model.config.tag_scheme = "IOB2"  # as the data's tags are
    elif recipe.strategy == "mismatched":
        check_numbers(model, data.tags)
    elif recipe.strategy == "zero_shot":
        rename_labels(model, label_map)
    else:
        replace_head(model, data.tags, label_map, recipe.new_types)
    if recipe.lora_rank:
        _, head = find_head(model)
        add_lora(model, recipe.lora_rank, encoder_layers(model))
        head.requires_grad_(True)  # the updates froze everything else
    return model, label_map


def make_map(
    recipe: NerArguments, data: LoadedSentences, model: PreTrainedModel, tokenizer: Any, sizes: dict[str, int]
) -> LabelMap:
    source = types_of(tags_of(model))
    if recipe.map == "names":
        return map_by_name(source, data.types)
    if recipe.map == "predictions":
        sample = data.splits["train"].shuffle(seed=0).take(min(len(data.splits["train"]), MAPPED_BY))
        found = tag_sentences(model.eval(), tokenizer, sample["words"], **sizes)
        return map_by_predictions(entities_of(found), entities_of(sample["tags"]), source, data.types)
    label_map = read_map(recipe.map, source, data.types)
    recipe.map = label_map.as_text()  # what the file says now decides the run, and is published with it
    return label_map


if __name__ == "__main__":
    launch(main, NerArguments)
