"""Train a retriever: vectors by which a question finds the passages that answer it.

    accelerate launch recipes/rag.py --config recipes/rag/retriever.yaml

Any data set with a column of questions and one of passages will do; `--help` explains every option. `hf-recipes index TEXT --embedder
outputs/rag_retriever` uses it, and `recipes/rag_answers.py` measures answers.
"""

import copy
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from datasets import Dataset
from sentence_transformers import SentenceTransformer
from transformers import set_seed

from hf_recipes.arguments import DatasetArguments, check_ranges
from hf_recipes.rag.pairs import load_pairs
from hf_recipes.rag.retriever import (
    RetrieverTrainer,
    RetrieverTrainingArguments,
    add_hard_negatives,
    start_from_words,
    update_by_lora,
)
from hf_recipes.rag.retriever_report import analyse, make_card
from hf_recipes.run import launch, run

# the least and the most that options can be
RANGES = {"word_vectors": (0, None), "hard_negatives": (0, None), "max_length": (3, None), "lora_rank": (0, None)}


@dataclass
class RetrieverArguments(DatasetArguments):
    """Train a retriever, test it, and write its card."""

    dataset: str = field(default="rajpurkar/squad", metadata={"help": "Hub id, or a folder or file of pairs."})
    dataset_config: str | None = field(default=None, metadata={"help": "Configuration of a data set that has several."})
    question_column: str = field(default="question", metadata={"help": "Column of the questions."})
    passage_column: str = field(default="context", metadata={"help": "Column of the passages that answer them."})
    article_column: str = field(
        default="title", metadata={"help": "Column of what they are about; validation and training share none of it."}
    )
    validation_share: float = field(
        default=0.1, metadata={"help": "Of the training articles, where there is no such split beside a test split."}
    )
    test_share: float = field(default=0.1, metadata={"help": "The same for the test."})
    train_pairs: int | None = field(default=None, metadata={"help": "So many, drawn by the seed; all if not given."})
    model: str = field(
        default="sentence-transformers/all-MiniLM-L6-v2",
        metadata={"help": "Where the training begins: id or folder of a model of sentence-transformers."},
    )
    word_vectors: int = field(
        default=0,
        metadata={"help": "Begin from vectors of words of this size instead, trained on the questions and passages."},
    )
    hard_negatives: int = field(
        default=0,
        metadata={"help": "Wrong passages for each question that the model holds for near before the training."},
    )
    train: bool = field(default=True, metadata={"help": "False tests and saves the start as it is."})
    max_length: int | None = field(
        default=None, metadata={"help": "Tokens of a text in the training, where the model could read more."}
    )
    lora_rank: int = field(default=0, metadata={"help": "Of low-rank updates of the encoder; 0 trains all of it."})


def main(recipe: RetrieverArguments, args: RetrieverTrainingArguments) -> dict[str, Any]:
    check_ranges(recipe, RANGES)
    set_seed(args.seed)
    with args.main_process_first():
        loaded = load_pairs(
            recipe.dataset,
            config=recipe.dataset_config,
            revision=recipe.dataset_revision,
            question_column=recipe.question_column,
            passage_column=recipe.passage_column,
            article_column=recipe.article_column,
            validation_share=recipe.validation_share,
            test_share=recipe.test_share,
            train_pairs=recipe.train_pairs,
            seed=args.seed,
        )
    model, pairs = make_start(recipe, loaded.train, args.seed), loaded.train
    before = copy.deepcopy(model)
    if recipe.hard_negatives and recipe.train:
        with args.main_process_first():
            pairs = add_hard_negatives(pairs, model, recipe.hard_negatives, Path(args.output_dir) / "_vectors")
    if recipe.lora_rank:
        update_by_lora(model, recipe.lora_rank)
    trainer = RetrieverTrainer(
        model=model,
        args=args,
        card=make_card(recipe, loaded),
        train_dataset=pairs,
        validation=loaded.validation,
        max_length=recipe.max_length,
    )
    return run(trainer, recipe, loaded.test, partial(analyse, test=loaded.test, before=before), train=recipe.train)


def make_start(recipe: RetrieverArguments, pairs: Dataset, seed: int) -> SentenceTransformer:
    if recipe.word_vectors:
        return start_from_words(pairs, recipe.word_vectors, seed)
    return SentenceTransformer(recipe.model)


if __name__ == "__main__":
    launch(main, RetrieverArguments, RetrieverTrainingArguments)
