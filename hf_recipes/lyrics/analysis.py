"""What a song classifier tells and what it does not: tables and figures for its card. No lyrics are shown, words and counts only."""

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from datasets import Dataset
from scipy.special import softmax
from sklearn.metrics import f1_score

from ..classification import accuracy_by_class, confused_pairs, plot_confusion
from ..figures import new_figure, plot_predicted
from ..intervals import interval, parts_of, quotient, resample
from ..model_card import Report, Section
from ..word_vectors import WordVectors
from .baselines import MARGINS, NOTHING, fit_baselines
from .data import LoadedSongs
from .metrics import ClassScores, ValueScores
from .semantics import marking_words
from .word_report import TrainVectors, describe_words

LENGTHS = ((0, 40, "up to 40 words"), (41, 80, "41 to 80"), (81, 120, "81 to 120"), (121, None, "121 or more"))
FIFTHS = 5


def analyse(
    trainer,
    predictions,
    songs: LoadedSongs,
    vectors: WordVectors | None,
    train_vectors: TrainVectors | None = None,
    encode: Callable[[], dict[str, np.ndarray]] | None = None,
    lexicon: dict[str, float] | None = None,
    baselines: bool = True,
) -> Report:
    """The report of a test.

    Args:
        trainer: of the run.
        predictions: of `trainer.predict(test)`: `logits` and `label`.
        songs: the data.
        vectors: fitted on the training songs, if anything is made of them.
        train_vectors: fits vectors on other songs in the same way, if words are to be compared between parts of the training songs.
        encode: gives vectors of a sentence encoder by split, if it is to be compared.
        lexicon: scores of words, if what the vectors know of them is to be measured.
        baselines: whether simple models are fitted on the same songs.
    """
    test, names = songs.splits["test"], songs.names
    logits, labels = predictions.predictions["logits"].astype(float), np.array(test["label"][:])
    logits = logits[np.argsort(predictions.label_ids["index"].astype(int))]
    answers = {"model": logits if names else logits[:, 0]}
    if baselines:
        answers |= fit_baselines(songs.splits, vectors, names, encode() if encode else None, lexicon)
    scores, metric = (ClassScores(), "accuracy") if names else (ValueScores(), "r2")
    by_song = {name: score_songs(answer, labels, names) for name, answer in answers.items()}
    measured = {name: measure(name, answer, labels, names, scores) for name, answer in answers.items()}
    parts, groups = parts_of(by_song["model"]), np.array([zlib.crc32(group.encode()) for group in test["group"]])
    low, high = interval(resample(lambda rows: quotient(parts[rows]), len(labels), groups=groups))
    of_words, found, known = [], {}, None
    if vectors is not None:
        of_words, found = describe_words(trainer.model, songs, vectors, train_vectors, lexicon, trainer.args.seed)
        vocabulary = set(vectors.words)
        known = [float(np.mean([word in vocabulary for word in words])) if words else 0.0 for words in test["words"]]
        found |= {"known_words": float(np.mean(known)), "vocabulary": len(vectors.words)}
    sections = [
        Section(
            "How sure the numbers are",
            f"95 % interval of {'the accuracy' if names else 'R2'}, by drawing groups of songs, as those of an artist, whole: {low:.3f} to {high:.3f}. "
            f"{songs.duplicates} songs of the data were left out, since another one has much the same words.",
        ),
        *(describe_classes(answers["model"], labels, names) if names else describe_values(answers, labels)),
        Section(
            "By length and vocabulary" if known else "By length",
            f"{len(vectors.words):,} words have a vector: {np.mean(known):.0%} of those of a test song."
            if known
            else "",
            table_by(answers["model"], labels, [len(words) for words in test["words"]], known, bool(names)),
        ),
        *(describe_disagreement(by_song, test, names) if names and baselines else []),
        *of_words,
    ]
    return Report(
        sections,
        baselines={name: each for name, each in measured.items() if name != "model"},
        measured={
            f"{metric}_low": float(low),
            f"{metric}_high": float(high),
            "duplicates": songs.duplicates,
            "examples": {
                "ids": test["index"][:],
                "groups": groups.tolist(),
                **({"classes": names, "strata": labels.tolist()} if names else {}),
                "scores": {metric: {name: each.round(6).tolist() for name, each in by_song.items()}},
            },
            **({f"test_{key}": value for key, value in measured["model"].items() if key.startswith("f1_")}),
            **found,
        },
    )


def measure(
    name: str, answer: np.ndarray, labels: np.ndarray, names: list[str] | None, scores: ClassScores | ValueScores
) -> dict[str, float]:
    """The scores of a model's answers, those of each class among them."""
    measured = scores.compute(predictions=answer, references=labels)
    if names:
        measured |= f1_by_class(answer, labels, names)
    if name.endswith(MARGINS):
        measured.pop("log_loss", None)  # values have none
    return measured


def f1_by_class(logits: np.ndarray, labels: np.ndarray, names: list[str]) -> dict[str, float]:
    scores = f1_score(labels, logits.argmax(1), labels=range(len(names)), average=None, zero_division=0)
    return {f"f1_{name}": float(score) for name, score in zip(names, scores)}


def score_songs(answer: np.ndarray, labels: np.ndarray, names: list[str] | None) -> np.ndarray:
    """`(songs,)`: right or not; or `(songs, 2)`: by how much the squared error is less than that of the mean, and the latter, whose sums'
    quotient is R2."""
    if names:
        return (answer.argmax(1) == labels).astype(float)
    of_mean = (labels - labels.mean()) ** 2
    return np.stack([of_mean - (labels - answer) ** 2, of_mean], 1)


def describe_classes(logits: np.ndarray, labels: np.ndarray, names: list[str]) -> list[Section]:
    confusion = np.zeros((len(names), len(names)), int)
    np.add.at(confusion, (labels, logits.argmax(1)), 1)
    sure = softmax(logits, 1).max(1)
    right = logits.argmax(1) == labels
    bins = np.minimum((5 * sure).astype(int), 4)
    rows = [
        {"score": f"{n / 5:.1f} to {(n + 1) / 5:.1f}", "songs": int((bins == n).sum()), "mean score": float(sure[bins == n].mean()),
         "right": float(right[bins == n].mean())}
        for n in range(5)
        if (bins == n).any()
    ]  # fmt: skip
    f1 = f1_by_class(logits, labels, names)
    by_class = [
        {("songs" if key == "images" else key): value for key, value in row.items()} | {"F1": f1[f"f1_{row['class']}"]}
        for row in accuracy_by_class(confusion, names)
    ]
    return [
        Section("By class", "", by_class),
        Section("Confusion matrix", "Rows are true classes, in per cent.", figure=plot_confusion(confusion, names)),
        Section("Most confused pairs", "", confused_pairs(confusion, names)),
        Section("Calibration", "Scores against how often they are right.", rows),
    ]


def describe_values(answers: dict[str, np.ndarray], wanted: np.ndarray) -> list[Section]:
    """Predictions against the truth, and both by fifths: of the predictions, which shows how far they can be trusted, and of the true values,
    which shows what no model tells."""
    found, errors = answers["model"], np.abs(np.stack(list(answers.values())) - wanted)
    figure, axes = new_figure(1, 1, 4.2, 3.8)
    plot_predicted(axes[0, 0], wanted, found, "value")
    trust = [
        {"predicted": bounds, "songs": len(rows), "mean prediction": float(found[rows].mean()), "mean true value": float(wanted[rows].mean())}
        for bounds, rows in fifths(found)
    ]  # fmt: skip
    missed = [
        {"true value": bounds, "songs": len(rows), "mean prediction": float(found[rows].mean()), "mean absolute error": float(errors[0][rows].mean()),
         "the least of any model": float(errors.min(0)[rows].mean())}
        for bounds, rows in fifths(wanted)
    ]  # fmt: skip
    return [
        Section("Predicted against true values", "", figure=figure),
        Section("Calibration", "By fifths of the predictions.", trust),
        Section(
            "What is missed",
            f"By fifths of the true values; {len(answers)} models, the one of this card among them.",
            missed,
        ),
    ]


def fifths(values: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """The rows of each fifth of some values, with its bounds."""
    parts = np.array_split(np.argsort(values, kind="stable"), FIFTHS)
    return [(f"{values[rows].min():.2f} to {values[rows].max():.2f}", rows) for rows in parts if len(rows)]


def table_by(
    answer: np.ndarray, labels: np.ndarray, lengths: list[int], known: list[float] | None, classes: bool
) -> list[dict[str, Any]]:
    """How right the answers are by number of words, and by the share of words that have a vector, where any has."""
    name, scores = ("right", answer.argmax(1) == labels) if classes else ("absolute error", abs(answer - labels))
    groups = {
        label: (np.array(lengths) >= low) & (np.array(lengths) <= (high or np.inf)) for low, high, label in LENGTHS
    }
    if known is not None:
        middle = np.median(known)
        groups |= {
            f"at most {middle:.0%} of the words have a vector": np.array(known) <= middle,
            f"more than {middle:.0%}": np.array(known) > middle,
        }
    return [
        {"songs with": label, "number": int(chosen.sum()), name: float(scores[chosen].mean())}
        for label, chosen in groups.items()
        if chosen.any()
    ]


def describe_disagreement(by_song: dict[str, np.ndarray], test: Dataset, names: list[str]) -> list[Section]:
    """Songs that every model gets wrong, by class; and the words of those that frequencies tell and vectors do not, and the other way
    round."""
    models = [scores for name, scores in by_song.items() if name not in NOTHING]
    labels, right = np.array(test["label"]), np.array(models) > 0
    rows = [
        {"class": name, "songs": int((labels == number).sum()), "wrong by all": int((~right.any(0))[labels == number].sum()),
         "right by all": int(right.all(0)[labels == number].sum())}
        for number, name in enumerate(names)
    ]  # fmt: skip
    text = f"{len(models)} models, the one of this card among them."
    frequencies, means = (
        by_song["TF-IDF, logistic regression"] > 0,
        by_song["mean word vector, logistic regression"] > 0,
    )
    sides = {"TF-IDF alone is right": frequencies & ~means, "the mean word vector alone is right": means & ~frequencies}
    words, found = test["words"][:], {}
    if all(side.any() for side in sides.values()):
        chosen = [(words[row], side) for side, mask in sides.items() for row in np.flatnonzero(mask)]
        found = marking_words(*zip(*chosen))
    pairs = [
        {"logistic regression": side, "songs": int(mask.sum()), "words of theirs that stand out": ", ".join(word for word, _ in found.get(side, []))}
        for side, mask in sides.items()
    ]  # fmt: skip
    return [Section("Songs that all get wrong", text, rows), Section("Frequencies against vectors", "", pairs)]
