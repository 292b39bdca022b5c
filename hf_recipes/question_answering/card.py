"""What the cards of readers say beyond the numbers of their run."""

from pathlib import Path
from typing import Any

from ..answers import METRICS
from ..model_card import CardInfo, describe_data
from .data import LoadedQuestions

# last part of a folder or id -> its name, source and licence
KNOWN_DATA = {
    "squad": ("SQuAD v1.1", "https://rajpurkar.github.io/SQuAD-explorer/", "cc-by-sa-4.0"),
    "squad_v2": ("SQuAD 2.0", "https://rajpurkar.github.io/SQuAD-explorer/", "cc-by-sa-4.0"),
}
SNIPPET = """
from transformers import pipeline

answer = pipeline("question-answering", model="{model_id}", trust_remote_code=True)
print(answer(question="Where did Grete Hermann write it?", context="Grete Hermann wrote her thesis in Göttingen in 1925."))
"""


def make_card(recipe: Any, loaded: LoadedQuestions) -> CardInfo:
    """The card of a run of `recipes/question_answering.py`, from its arguments and the data."""
    data = describe_data(recipe, KNOWN_DATA)
    name = recipe.model.rstrip("/").split("/")[-1]
    parts = [
        f"`{name}`",
        recipe.layers and f"its first {recipe.layers} layers",
        (recipe.scratch and "from random weights") or "fine-tuned",
        recipe.wrong_contexts
        and f"which also saw each training question with {recipe.wrong_contexts} like passages that do not answer it",
        recipe.lora_rank
        and f"low-rank updates of its encoder (rank {recipe.lora_rank}) and the head were trained, and are merged",
    ]
    return CardInfo(
        title=f"{name} for extractive question answering, {data['dataset_name']}",
        summary=f"Answers a question by a span of a text. {', '.join(part for part in parts if part)}.",
        pipeline_task="question-answering",
        auto_class="AutoModelForQuestionAnswering",
        metrics=METRICS,
        snippet=SNIPPET,
        **data,
        dataset_revision=loaded.revision,
        tested_on=loaded.tested_on and f"{data['dataset_name']}, {loaded.tested_on}",
        recipe="recipes/question_answering.py",
        limitations=[
            "It was trained on passages without an answer, so that it can find none; whether to believe it is for you to measure on texts "
            "like yours."
            if recipe.wrong_contexts
            else "It finds an answer in any text: what the text does not say, it answers as surely as the rest, unless it was trained on "
            "questions without answers.",
            f"An answer is one span of at most {recipe.max_answer_length} tokens: no lists, no yes or no, no sums.",
            "Its score is a probability for questions and texts like those of its training data only.",
        ],
        citation="Rajpurkar et al., SQuAD: 100,000+ questions for machine comprehension of text, 2016. Devlin et al., BERT, 2019. Guo et al., "
        "On calibration of modern neural networks, 2017.",
        pipeline_tag="question-answering",
        base_model=None if Path(recipe.model).is_dir() or recipe.scratch else recipe.model,
    )
