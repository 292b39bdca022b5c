"""What a song classifier tells and what it does not: tables and figures for its card. No lyrics are shown, words and counts only."""

from typing import Any

import numpy as np
from datasets import Dataset
from scipy.special import softmax

from ..classification import accuracy_by_class, confused_pairs, plot_confusion
from ..figures import new_figure, plot_predicted
from ..intervals import interval, resample
from ..model_card import Report, Section
from .baselines import fit_baselines
from .data import LoadedSongs
from .metrics import ClassScores, ValueScores
from .semantics import marking_words
from .vectors import WordVectors
from .word_report import TrainVectors, describe_words

# whose scores are kept by song, for paired comparisons
PAIRED = (
    "model",
    "TF-IDF, logistic regression",
    "TF-IDF, ridge",
    *(
        f"{name}, {head}"
        for name in ("mean word vector", "TF-IDF-weighted word vector", "sentence encoder")
        for head in ("logistic regression", "ridge")
    ),
)
LENGTHS = ((0, 40, "up to 40 words"), (41, 80, "41 to 80"), (81, 120, "81 to 120"), (121, None, "121 or more"))


def analyse(
    trainer,
    predictions,
    songs: LoadedSongs,
    vectors: WordVectors,
    train_vectors: TrainVectors,
    encoded: dict[str, np.ndarray] | None = None,
    lexicon: dict[str, float] | None = None,
    baselines: bool = True,
) -> Report:
    """The report of a test.

    Args:
        trainer: of the run.
        predictions: of `trainer.predict(test)`: `logits` and `label`.
        songs: the data.
        vectors: fitted on the training songs.
        train_vectors: fits vectors on other songs in the same way.
        encoded: vectors of a sentence encoder by split, if it is to be compared.
        lexicon: scores of words, if what the vectors know of them is to be measured.
        baselines: whether simple models are fitted on the same songs.
    """
    test, names = songs.splits["test"], songs.names
    logits, labels = predictions.predictions["logits"].astype(float), np.array(test["label"][:])
    order = predictions.label_ids["index"].astype(int)
    logits = logits[np.argsort(order)]
    ours = logits if names else logits[:, 0]
    others = fit_baselines(songs.splits, vectors, names, encoded) if baselines else {}
    scores, metric = (ClassScores(), "accuracy") if names else (ValueScores(), "mae")
    by_song = {name: score_songs(answer, labels, names) for name, answer in {"model": ours, **others}.items()}
    vocabulary = set(vectors.words)
    known = [float(np.mean([word in vocabulary for word in words])) if words else 0.0 for words in test["words"]]
    low, high = interval(
        resample(
            lambda rows: by_song["model"][rows].mean(),
            len(labels),
            groups=np.unique(test["group"][:], return_inverse=True)[1],
        )
    )
    report = Report(
        baselines={name: scores.compute(predictions=answer, references=labels) for name, answer in others.items()},
        measured={
            f"{metric}_low": float(low),
            f"{metric}_high": float(high),
            "known_words": float(np.mean(known)),
            "vocabulary": len(vectors.words),
            "train_examples": len(songs.splits["train"]),
            "examples": {
                "ids": test["index"][:],
                "scores": {metric: {name: by_song[name].round(6).tolist() for name in PAIRED if name in by_song}},
            },
        },
    )
    of_words, measured = describe_words(trainer.model, songs, vectors, train_vectors, lexicon, trainer.args.seed)
    report.measured |= measured
    report.sections = [
        Section(
            "How sure the numbers are",
            f"95 % interval of the {'accuracy' if names else 'mean absolute error'}, artists drawn with all of their songs: {low:.3f} to {high:.3f}.",
        ),
        *(describe_classes(ours, labels, names) if names else describe_values(ours, labels)),
        Section(
            "By length and vocabulary",
            f"{len(vectors.words):,} words have a vector: {np.mean(known):.0%} of those of a test song.",
            table_by(by_song["model"], [len(words) for words in test["words"]], known, bool(names)),
        ),
        *(describe_disagreement(by_song, test, names) if names and others else []),
        *of_words,
    ]
    return report


def score_songs(answer: np.ndarray, labels: np.ndarray, names: list[str] | None) -> np.ndarray:
    """`(songs,)`: right or not, or the absolute error."""
    return (answer.argmax(1) == labels).astype(float) if names else abs(answer - labels)


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
    by_class = [
        {("songs" if key == "images" else key): value for key, value in row.items()}
        for row in accuracy_by_class(confusion, names)
    ]
    return [
        Section("By class", "", by_class),
        Section("Confusion matrix", "Rows are true classes, in per cent.", figure=plot_confusion(confusion, names)),
        Section("Most confused pairs", "", confused_pairs(confusion, names)),
        Section("Calibration", "Scores against how often they are right.", rows),
    ]


def describe_values(found: np.ndarray, wanted: np.ndarray) -> list[Section]:
    figure, axes = new_figure(1, 1, 4.2, 3.8)
    plot_predicted(axes[0, 0], wanted, found, "value")
    return [Section("Predicted against true values", "", figure=figure)]


def table_by(scores: np.ndarray, lengths: list[int], known: list[float], right: bool) -> list[dict[str, Any]]:
    """The mean score by number of words, and by the share of words that have a vector."""
    name = "right" if right else "absolute error"
    groups = {
        label: (np.array(lengths) >= low) & (np.array(lengths) <= (high or np.inf)) for low, high, label in LENGTHS
    }
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
    labels, right = np.array(test["label"]), np.array(list(by_song.values())) > 0
    rows = [
        {"class": name, "songs": int((labels == number).sum()), "wrong by all": int((~right.any(0))[labels == number].sum()),
         "right by all": int(right.all(0)[labels == number].sum())}
        for number, name in enumerate(names)
    ]  # fmt: skip
    text = f"Of {len(right)} models, the one of this card among them."
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
