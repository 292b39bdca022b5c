"""Questions of which each has one right passage among many: at which rank is it found."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from sentence_transformers import SentenceTransformer

from .bm25 import Bm25

METRICS = {"mrr": "mean reciprocal rank", "hit_at_1": "hit@1", "hit_at_5": "hit@5", "ndcg_at_10": "nDCG@10"}
AT_ONCE = 512  # questions whose scores of all passages are kept at a time


class RankingTest(NamedTuple):
    """Questions and passages.

    Args:
        questions: their texts.
        passages: all different; all of them are searched for each question.
        right: `(questions,)`, the number of the right passage of each.
        articles: the article that each question is about; questions of one are not independent.
    """

    questions: list[str]
    passages: list[str]
    right: np.ndarray
    articles: list[str]


def rank_by_vectors(test: RankingTest, model: SentenceTransformer) -> np.ndarray:
    """`(questions,)`: the rank of the right passage, from 1, by the cosine of its vector and the question's; equal ones count as before it."""
    options = {"normalize_embeddings": True, "show_progress_bar": False, "batch_size": 64}
    passages = model.encode_document(test.passages, **options)
    questions = model.encode_query(test.questions, **options)
    return rank_by(test, lambda rows: questions[rows] @ passages.T)


def rank_by_words(test: RankingTest) -> np.ndarray:
    """The same by BM25."""
    words = Bm25(test.passages)
    return rank_by(test, lambda rows: np.stack([words.scores(question) for question in test.questions[rows]]))


def rank_by(test: RankingTest, score: Callable[[slice], np.ndarray]) -> np.ndarray:
    ranks = []
    for start in range(0, len(test.questions), AT_ONCE):
        rows = slice(start, start + AT_ONCE)
        scores = score(rows)
        found = np.take_along_axis(scores, test.right[rows, None], 1)
        ranks.append((scores >= found).sum(1))
    return np.concatenate(ranks)


def measure_ranks(ranks: np.ndarray) -> dict[str, float]:
    """The metrics of `METRICS`, each a mean over the questions, 0 to 1."""
    return {
        "mrr": float((1 / ranks).mean()),
        "hit_at_1": float((ranks <= 1).mean()),
        "hit_at_5": float((ranks <= 5).mean()),
        "ndcg_at_10": float(np.where(ranks <= 10, 1 / np.log2(1 + ranks), 0).mean()),
    }
