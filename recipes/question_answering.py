"""Answer questions by spans of a text.

    accelerate launch recipes/question_answering.py --config recipes/question_answering/squad.yaml

Any data set of SQuAD's form will do; `--help` explains every option.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

from datasets import Dataset, concatenate_datasets
from transformers import AutoConfig, AutoModelForQuestionAnswering, AutoTokenizer, PreTrainedModel, set_seed

from hf_recipes import QuestionAnsweringPipeline
from hf_recipes.arguments import DatasetArguments, RecipeTrainingArguments, check_ranges
from hf_recipes.lora import add_lora
from hf_recipes.pretrained import (
    check_weights,
    encoder_layers,
    errors_only,
    find_head,
    longest_window,
    set_dropout,
)
from hf_recipes.question_answering.analysis import analyse
from hf_recipes.question_answering.card import make_card
from hf_recipes.question_answering.data import LoadedQuestions, load_questions, with_wrong_contexts
from hf_recipes.question_answering.model import keep_layers
from hf_recipes.question_answering.trainer import QuestionAnsweringTrainer
from hf_recipes.question_answering.windows import WindowCollator, make_compute, make_reduce, make_windows
from hf_recipes.run import launch, run

PARTS = ("train", "validation", "test")


# the least and the most that options can be
RANGES = {
    "train_questions": (1, None),
    "test_questions": (1, None),
    "wrong_contexts": (0, None),
    "layers": (0, None),
    "lora_rank": (0, None),
    "dropout": (0, 1),
    "max_answer_length": (1, None),
    "sensitivity": (0, None),
}


@dataclass
class QuestionAnsweringArguments(DatasetArguments):
    """Train a reader that answers questions by spans of contexts, test it, and write its card."""

    dataset_config: str | None = field(default=None, metadata={"help": "Configuration of a data set that has several."})
    validation_share: float = field(
        default=0.1, metadata={"help": "Of the training questions, drawn by article, where there is no such split."}
    )
    test_share: float = field(default=0.1, metadata={"help": "The same for the test."})
    train_questions: int | None = field(
        default=None, metadata={"help": "So many, drawn by the seed; all if not given."}
    )
    test_questions: int | None = field(default=None, metadata={"help": "The same for the test."})
    drop_bad_answers: bool = field(
        default=False, metadata={"help": "Leave out training questions whose answer is not where it should be."}
    )
    wrong_contexts: int = field(
        default=0,
        metadata={
            "help": "Ask each training question of so many like contexts as well that do not answer it, so that the reader learns to "
            "find nothing."
        },
    )
    model: str = field(
        default="sentence-transformers/all-MiniLM-L6-v2", metadata={"help": "An encoder or a reader: id or folder."}
    )
    layers: int = field(default=0, metadata={"help": "Keep so many of the encoder's layers, the first; 0 keeps all."})
    scratch: bool = field(default=False, metadata={"help": "Begin from random weights."})
    lora_rank: int = field(default=0, metadata={"help": "Of low-rank updates of the encoder; 0 trains all of it."})
    dropout: float | None = field(
        default=None, metadata={"help": "Of the encoder in training, a share; the encoder's own if not given."}
    )
    max_length: int = field(default=384, metadata={"help": "Tokens of a window."})
    stride: int = field(default=128, metadata={"help": "Tokens of the context that windows share."})
    max_answer_length: int = field(default=30, metadata={"help": "Most tokens of an answer."})
    sensitivity: int = field(
        default=0,
        metadata={"help": "Ask so many test questions again, of other contexts and in other windows; 0: none."},
    )


def main(recipe: QuestionAnsweringArguments, args: RecipeTrainingArguments) -> dict[str, Any]:
    check_ranges(recipe, RANGES)
    set_seed(args.seed)
    with args.main_process_first():
        data = load_questions(
            recipe.dataset,
            config=recipe.dataset_config,
            revision=recipe.dataset_revision,
            validation_share=recipe.validation_share,
            test_share=recipe.test_share,
            train_questions=recipe.train_questions,
            test_questions=recipe.test_questions,
            drop_bad_answers=recipe.drop_bad_answers,
            seed=args.seed,
        )
    if recipe.wrong_contexts:
        wrong = with_wrong_contexts(data.splits["train"], recipe.wrong_contexts, args.seed)
        data.splits["train"] = concatenate_datasets([data.splits["train"], wrong])
    tokenizer = AutoTokenizer.from_pretrained(recipe.model)
    longest = longest_window(AutoConfig.from_pretrained(recipe.model), tokenizer)
    if recipe.max_length > longest:
        raise ValueError(f"--max_length is {recipe.max_length}, and {recipe.model} reads {longest} tokens at once")
    sizes = {"max_length": recipe.max_length, "stride": recipe.stride}
    windows = {
        name: make_windows(data.splits[name], tokenizer, part=part, training=name == "train", **sizes)
        for part, name in enumerate(PARTS)
    }
    splits = dict(enumerate(data.splits[name] for name in PARTS))
    trainer = make_trainer(recipe, args, splits, windows, data, tokenizer)
    report = partial(analyse, data=data, sample=recipe.sensitivity, **sizes)
    return run(trainer, recipe, windows["test"], report)


def make_trainer(
    recipe: QuestionAnsweringArguments,
    args: RecipeTrainingArguments,
    splits: dict[int, Dataset],
    windows: dict[str, Dataset],
    data: LoadedQuestions,
    tokenizer: Any,
) -> QuestionAnsweringTrainer:
    return QuestionAnsweringTrainer(
        model=make_model(recipe),
        args=args,
        card=make_card(recipe, data),
        train_dataset=windows["train"],
        eval_dataset=windows["validation"],
        data_collator=WindowCollator(tokenizer),
        processing_class=tokenizer,
        compute_metrics=make_compute(splits, validation=PARTS.index("validation")),
        reduce=make_reduce(recipe.max_answer_length),
        pipeline_class=QuestionAnsweringPipeline,
    )


def make_model(recipe: QuestionAnsweringArguments) -> PreTrainedModel:
    config = AutoConfig.from_pretrained(recipe.model, num_labels=2)  # a start and an end
    set_dropout(config, recipe.dropout)
    # the pipeline reads and answers as the model was tested
    config.answer_window, config.answer_stride, config.answer_length = (
        recipe.max_length,
        recipe.stride,
        recipe.max_answer_length,
    )
    with errors_only():
        if recipe.scratch:
            model = AutoModelForQuestionAnswering.from_config(config)
        else:
            model, info = AutoModelForQuestionAnswering.from_pretrained(
                recipe.model, config=config, output_loading_info=True, ignore_mismatched_sizes=True
            )
            check_weights(model, info["missing_keys"], recipe.model, head_is_new=True)
    if recipe.layers:
        keep_layers(model, recipe.layers)
    if recipe.lora_rank:
        _, head = find_head(model)
        add_lora(model, recipe.lora_rank, encoder_layers(model))
        head.requires_grad_(True)  # the updates froze everything else
    return model


if __name__ == "__main__":
    launch(main, QuestionAnsweringArguments)
