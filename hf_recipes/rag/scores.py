"""How good passages and answers are, against gold questions: from places and words alone, without a model that judges."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..answers import normalize, score_answer
from .chunking import Span, sentences_of
from .index import Hit
from .pipeline import Answer, Citation
from .questions import GoldQuestion
from .readers import says_nothing
from .wording import content_words

ENOUGH = 0.5  # of the shorter of a passage and a place, for the passage to hold the place
RIGHT_F1 = 0.5  # from which an answer counts as right
DEPTH = 10  # of nDCG


def overlap(first: Span, second: Span) -> int:
    return max(0, min(first[1], second[1]) - max(first[0], second[0]))


def holds(passage: Span, place: Span) -> bool:
    """Whether half of a place is in a passage, or half of the passage in it."""
    return overlap(passage, place) >= ENOUGH * min(passage[1] - passage[0], place[1] - place[0])


def score_hits(hits: Sequence[Hit], document: str, evidence: Sequence[Span], budget: int) -> dict[str, float]:
    """Of what was found for a question, each 0 to 1.

    Args:
        hits: the best first.
        document: name of the one that the evidence is in.
        evidence: its places.
        budget: characters of passages, from the best on, of which `evidence_recall` is the share of the evidence's characters that they
            hold: by it, passages of any length compare fairly.
    """
    spans = [(hit.start, hit.end) if hit.document == document else (0, 0) for hit in hits]
    ranks = [first_holding(spans, place) for place in evidence]  # of each place
    first = min((rank for rank in ranks if rank), default=None)
    gains = [1 / math.log2(1 + rank) if rank and rank <= DEPTH else 0.0 for rank in ranks]
    return {
        "reciprocal_rank": 1 / first if first else 0.0,
        **{f"hit_at_{k}": float(first is not None and first <= k) for k in (1, 3, 5)},
        "ndcg": sum(gains) / len(gains),  # one passage may hold all places, so the best is all of them at rank 1
        "evidence_recall": evidence_within(hits, spans, evidence, budget),
    }


def first_holding(spans: Sequence[Span], place: Span) -> int | None:
    return next((rank for rank, span in enumerate(spans, 1) if span[1] and holds(span, place)), None)


def evidence_within(hits: Sequence[Hit], spans: Sequence[Span], evidence: Sequence[Span], budget: int) -> float:
    wanted = {place for start, end in evidence for place in range(start, end)}
    held: set[int] = set()
    for hit, (start, end) in zip(hits, spans):
        length = min(hit.end - hit.start, budget)
        held.update(range(start, min(end, start + length)))
        budget -= length
    return len(wanted & held) / len(wanted)


def score_answer_text(
    answer: Answer, gold: GoldQuestion, document: str, rarity: dict[str, float]
) -> dict[str, float | None]:
    """Of an answer to a question that the text answers, each 0 to 1; None where there is nothing to measure.

    `right` is an answer that holds a gold one which the question does not hold, or has an F1 of words of a half or more with one. `specificity` is the mean rarity of its words
    (normalised inverse document frequency, See et al. 2019); words that the text does not know are left out. An answer that is held back, which
    a pipeline without a least score does where no passage supports it, is not grounded.

    Args:
        answer, gold: of one question.
        document: name of the one that the evidence is in.
        rarity: of `rarities`.
    """
    text = "" if answer.abstained else answer.answer
    exact, f1 = score_answer(text, gold.answers)
    # a gold answer that stands in the question is no proof of an answer
    told = [each for each in gold.answers if not contains_words(gold.question, each)]
    contains = float(any(contains_words(text, each) for each in told))
    words = [rarity[word] for word in content_words(text) if word in rarity]
    sentences = [span for span in sentences_of(text) if text[slice(*span)].strip()]
    held_back = answer.abstained and not says_nothing(answer.raw)
    return {
        "exact_match": exact,
        "f1": f1,
        "contains": contains,
        "right": float(bool(contains) or f1 >= RIGHT_F1),
        **score_citations(answer.citations, document, gold.evidence),
        "grounded": 1 - len(answer.unsupported) / len(sentences) if sentences else 0.0 if held_back else None,
        "specificity": float(np.mean(words)) if words else None,
    }


def contains_words(text: str, part: str) -> bool:
    """Whether the words of a part stand in a row in a text, as SQuAD normalises them."""
    return bool(normalize(part)) and f" {normalize(part)} " in f" {normalize(text)} "


def score_citations(citations: Sequence[Citation], document: str, evidence: Sequence[Span]) -> dict[str, float | None]:
    spans = [(each.start, each.end) if each.document == document else (0, 0) for each in citations]
    right = [any(span[1] and holds(span, place) for place in evidence) for span in spans]
    cited = [first_holding(spans, place) is not None for place in evidence]
    return {
        "citation_precision": float(np.mean(right)) if right else None,
        "citation_recall": float(np.mean(cited)),
    }


def rarities(texts: Sequence[str]) -> dict[str, float]:
    """Inverse document frequency of the content words of texts, 0 for one that is in all of them and 1 for one that is in one."""
    counts = Counter(word for text in texts for word in set(content_words(text)))
    most = math.log(max(len(texts), 2))
    return {word: math.log(len(texts) / count) / most for word, count in counts.items()}


# -- abstention ------------------------------------------------------------------------------------
def score_abstention(abstained: np.ndarray, answerable: np.ndarray) -> dict[str, float]:
    """Precision, recall and F1 of not answering; right where the text has no answer. `(questions,)` each."""
    right = int((abstained & ~answerable).sum())
    precision = right / max(int(abstained.sum()), 1)
    recall = right / max(int((~answerable).sum()), 1)
    f1 = 2 * right / max(int(abstained.sum()) + int((~answerable).sum()), 1)
    return {"abstention_precision": precision, "abstention_recall": recall, "abstention_f1": f1}


def fit_threshold(scores: np.ndarray, abstained: np.ndarray, answerable: np.ndarray) -> float:
    """The score below which not to answer, by the F1 of abstention; the lowest of equally good ones.

    Args:
        scores: of the answers, `(questions,)`.
        abstained: where none was given whatever the score.
        answerable: where the text has an answer.
    """
    places = np.unique(scores)
    candidates = [0.0, *((places[1:] + places[:-1]) / 2)]
    values = [score_abstention(abstained | (scores < each), answerable)["abstention_f1"] for each in candidates]
    return float(candidates[int(np.argmax(values))])


def cross_fit(
    scores: np.ndarray, abstained: np.ndarray, answerable: np.ndarray, second: np.ndarray
) -> tuple[np.ndarray, list[float]]:
    """Where not to answer, each half by the threshold that was fitted on the other half, and the two thresholds."""
    decided, thresholds = abstained.copy(), []
    for half in (second, ~second):
        threshold = fit_threshold(scores[~half], abstained[~half], answerable[~half])
        decided[half] |= scores[half] < threshold
        thresholds.append(threshold)
    return decided, thresholds


def mean_of(rows: Sequence[dict[str, Any]], name: str) -> float | None:
    values = [row[name] for row in rows if row[name] is not None]
    return float(np.mean(values)) if values else None


def share_of_words(question: str, text: str) -> float:
    """Of the content words of a question, those that a text holds."""
    words = set(content_words(question))
    return len(words & set(content_words(text))) / max(len(words), 1)
