"""What a retriever finds and what it misses, beside what it was before its training and beside BM25; and what its card says."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sentence_transformers import SentenceTransformer

from ..figures import PALETTE, new_figure
from ..intervals import interval, resample
from ..model_card import CardInfo, Report, Section, describe_data
from ..questions import kind_of
from .pairs import LoadedPairs
from .ranking import METRICS, RankingTest, measure_ranks, rank_by_vectors, rank_by_words
from .wording import split_words

KNOWN_DATA = {"squad": ("SQuAD v1.1", "https://rajpurkar.github.io/SQuAD-explorer/", "cc-by-sa-4.0")}
SNIPPET = """
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("{model_id}")
passages = ["The kettle has been on the stove since noon.", "Rain fell on the harbour all night."]
print(model.similarity(model.encode_query("What was the weather at sea?"), model.encode_document(passages)))
"""
BEFORE, WORDS = "before the training", "BM25"
SHARED = ("none to a quarter", "to a half", "to three quarters", "to all")
MOST_RANK = 20  # of the figure
SHOWN = 8  # articles


def make_card(recipe: Any, loaded: LoadedPairs) -> CardInfo:
    """The card of a run of `recipes/rag.py`, from its arguments and the data."""
    data = describe_data(recipe, KNOWN_DATA)
    name = "word vectors" if recipe.word_vectors else recipe.model.rstrip("/").split("/")[-1]
    summary = (
        f"Vectors of questions and passages, near to each other where the one answers the other. `{name}`, fine-tuned"
    )
    if recipe.word_vectors:
        summary = f"The mean of the vectors of a text's words, {recipe.word_vectors} numbers each, first trained on questions and passages by Word2Vec, "
        summary += (
            "then so that questions come near to the passages that answer them" if recipe.train else "and no further"
        )
    if recipe.lora_rank:
        summary += f"; low-rank updates (rank {recipe.lora_rank}) were trained, and are merged"
    negatives = f", {recipe.hard_negatives} of them hard ones for each question" if recipe.hard_negatives else ""
    return CardInfo(
        title=f"Retriever ({name}), {data['dataset_name']}",
        summary=f"{summary}."
        + (f" The other passages of a batch were the wrong ones{negatives}." if recipe.train else ""),
        pipeline_task="sentence-similarity",
        auto_class="SentenceTransformer",
        library_name="sentence-transformers",
        metrics=METRICS,
        snippet=SNIPPET,
        **data,
        dataset_revision=loaded.revision,
        tested_on=f"{len(loaded.test.questions):,} questions of {data['dataset_name']}"
        + (f" ({loaded.tested_on})" if loaded.tested_on else "")
        + f", each against all {len(loaded.test.passages):,} passages",
        recipe="recipes/rag.py",
        limitations=[
            "It finds passages about what a question is about; whether they answer it, a reader has to say.",
            "Questions of its training are about paragraphs of an encyclopedia; those about a novel are others.",
            *(
                [
                    "`all-MiniLM-L6-v2` was trained on SQuAD's training questions before: what it gains here is on top of that."
                ]
                if recipe.model.endswith("all-MiniLM-L6-v2") and not recipe.word_vectors
                else []
            ),
        ],
        citation="Reimers and Gurevych, Sentence-BERT, 2019. Henderson et al., Efficient natural language response suggestion, 2017 (the "
        "loss). Rajpurkar et al., SQuAD, 2016. Robertson and Zaragoza, The probabilistic relevance framework: BM25 and beyond, 2009."
        + (" Moreira et al., NV-Retriever, 2024 (hard negatives)." if recipe.hard_negatives else "")
        + (" Mikolov et al., Efficient estimation of word representations, 2013." if recipe.word_vectors else "")
        + (" Hu et al., LoRA, 2022." if recipe.lora_rank else ""),
        pipeline_tag="sentence-similarity",
        base_model=None if recipe.word_vectors or Path(recipe.model).is_dir() else recipe.model,
    )


def analyse(trainer: Any, predictions: Any, test: RankingTest, before: SentenceTransformer) -> Report:
    """The report of a test.

    Args:
        trainer: of the run.
        predictions: of `trainer.test`.
        test: the questions.
        before: the model as it was before the training.
    """
    ranks = {
        "model": predictions.predictions["rank"],
        BEFORE: rank_by_vectors(test, before.to(trainer.args.device)),
        WORDS: rank_by_words(test),
    }
    gains = {name: 1 / each for name, each in ranks.items()}
    articles = np.unique(test.articles, return_inverse=True)[1]
    low, high = interval(resample(lambda rows: gains["model"][rows].mean(), len(articles), groups=articles))
    return Report(
        baselines={name: measure_ranks(ranks[name]) for name in (BEFORE, WORDS)},
        measured={
            "mrr_low": float(low),
            "mrr_high": float(high),
            "test_examples": len(test.questions),
            "passages": len(test.passages),
            "examples": describe_examples(gains, articles),
        },
        sections=[
            Section(
                "How sure the numbers are",
                f"95 % intervals, articles drawn with all of their questions: mean reciprocal rank {low:.3f} to {high:.3f}; "
                + "; ".join(describe_difference(gains, name, articles) for name in (BEFORE, WORDS))
                + ".",
            ),
            Section("Rank of the right passage", figure=plot_hits(ranks)),
            Section(
                "By share of the question's words that stand in the passage",
                "Words of more than three letters.",
                table_by(gains, [SHARED[shared_quarter(*pair)] for pair in pairs_of(test)], SHARED),
            ),
            Section("By kind of question", "", table_by(gains, [kind_of(question) for question in test.questions])),
            *describe_articles(gains, test),
        ],
    )


def describe_examples(gains: dict[str, np.ndarray], articles: np.ndarray) -> dict[str, Any]:
    """What a study compares two runs by: sums of reciprocal ranks and numbers of questions by article."""
    counts = np.bincount(articles)
    parts = {name: np.stack([np.bincount(articles, each), counts], 1).round(6).tolist() for name, each in gains.items()}
    return {"ids": list(range(len(counts))), "scores": {"reciprocal_rank": parts}}


def describe_difference(gains: dict[str, np.ndarray], other: str, articles: np.ndarray) -> str:
    difference = gains["model"] - gains[other]
    low, high = interval(resample(lambda rows: difference[rows].mean(), len(articles), groups=articles))
    return f"against {other} {difference.mean():+.3f} ({low:+.3f} to {high:+.3f})"


def pairs_of(test: RankingTest) -> list[tuple[str, str]]:
    return [(question, test.passages[number]) for question, number in zip(test.questions, test.right)]


def shared_quarter(question: str, passage: str) -> int:
    """0 to 3, by how many of the question's longer words the passage has."""
    words = {word for word in split_words(question) if len(word) > 3}
    share = len(words & set(split_words(passage))) / max(len(words), 1)
    return min(3, max(0, int(np.ceil(4 * share)) - 1))


def table_by(
    gains: dict[str, np.ndarray], groups: Sequence[str], order: Sequence[str] | None = None
) -> list[dict[str, Any]]:
    """Mean reciprocal rank of the questions of each group, the largest group first where no order is given."""
    groups = np.asarray(groups)
    names = order or sorted(set(groups.tolist()), key=lambda name: -int((groups == name).sum()))
    return [
        {"": name, "questions": int((groups == name).sum())}
        | {system: float(each[groups == name].mean()) for system, each in gains.items()}
        for name in names
        if (groups == name).any()
    ]


def describe_articles(gains: dict[str, np.ndarray], test: RankingTest) -> list[Section]:
    """Nothing where articles have no titles: whole passages are no names."""
    if set(test.articles) & set(test.passages):
        return []
    rows = table_by(gains, test.articles)
    rows.sort(key=lambda row: row["model"] - row[BEFORE])
    half = SHOWN // 2
    shown = rows if len(rows) <= SHOWN else [*rows[:half], *rows[-half:]]
    return [Section("By article", "Those that the training changed most.", shown)]


def plot_hits(ranks: dict[str, np.ndarray]) -> Any:
    """Share of the questions whose passage is among the first so many."""
    figure, axes = new_figure(1, 1, 5.2, 3.6)
    places = np.arange(1, MOST_RANK + 1)
    for color, (name, each) in zip(PALETTE, ranks.items()):
        axes[0, 0].plot(places, [(each <= place).mean() for place in places], color=color, label=name)
    axes[0, 0].set(xlabel="passages that are looked at", ylabel="share of questions", xlim=(1, MOST_RANK))
    axes[0, 0].legend(frameon=False)
    axes[0, 0].grid(alpha=0.3)
    return figure
