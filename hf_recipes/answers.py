"""How well answers agree with what people answered: exact match and F1, as SQuAD's own script counts them."""

import re
import string
from collections import Counter
from collections.abc import Sequence

import datasets
import evaluate
import numpy as np

METRICS = {"f1": "F1", "exact_match": "exact match"}
PUNCTUATION = str.maketrans("", "", string.punctuation)


class AnswerScores(evaluate.Metric):
    """Exact match and F1 in percent (Rajpurkar et al. 2016). Predictions are texts, references the texts of all answers to the question;
    none where there is no answer, to which the empty text is right."""

    def _info(self):
        text = datasets.Value("string")
        return evaluate.MetricInfo(
            description=self.__doc__,
            citation="",
            features=datasets.Features({"predictions": text, "references": datasets.List(text)}),
        )

    def _compute(self, predictions, references) -> dict[str, float]:
        exact, f1 = score_answers(predictions, references)
        return {"exact_match": 100 * float(exact.mean()), "f1": 100 * float(f1.mean())}


def score_answers(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> tuple[np.ndarray, np.ndarray]:
    """`(questions,)` each: exact match (0 or 1) and F1 (0 to 1), the best over the answers to the question."""
    scores = [score_answer(*pair) for pair in zip(predictions, references, strict=True)]
    exact, f1 = np.array(scores, float).reshape(-1, 2).T
    return exact, f1


def score_answer(prediction: str, answers: Sequence[str]) -> tuple[float, float]:
    if not answers:
        right = float(not normalize(prediction))
        return right, right
    return (
        float(any(normalize(prediction) == normalize(answer) for answer in answers)),
        max(f1_of_words(prediction, answer) for answer in answers),
    )


def f1_of_words(prediction: str, answer: str) -> float:
    ours, theirs = normalize(prediction).split(), normalize(answer).split()
    shared = sum((Counter(ours) & Counter(theirs)).values())
    return 2 * shared / (len(ours) + len(theirs)) if shared else 0.0


def normalize(text: str) -> str:
    """Lower case without punctuation (ASCII), articles and superfluous spaces."""
    text = text.lower().translate(PUNCTUATION)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())
