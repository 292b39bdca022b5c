"""What a reader answers and what it does not: tables and figures for its card, and what mistakes in the decoding cost."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..answers import normalize, score_answer, score_answers
from ..figures import ACCENT, INK, MUTED, new_figure
from ..intervals import interval, resample
from ..model_card import Report, Section
from ..questions import kind_of
from .data import LoadedQuestions, number_articles
from .sensitivity import ask_again, sentence_around
from .windows import Answers, are_first, join_windows, probabilities

CONTEXTS = ((0, 80, "up to 80 words"), (81, 120, "81 to 120"), (121, 160, "121 to 160"), (161, 220, "161 to 220"), (221, None, "221 or more"))  # fmt: skip
ANSWERS = ((1, 1, "1 word"), (2, 2, "2 words"), (3, 4, "3 or 4"), (5, 8, "5 to 8"), (9, None, "9 or more"))
NAIVE = "all of this at once"
ERRORS = ("elsewhere", "too short", "too long", "overlapping", "none given", "none to be given")
BINS = 10  # of the calibration
LEAST_ARTICLES = 5  # of a group whose scores are given with an interval


def analyse(trainer, predictions, data: LoadedQuestions, sample: int, max_length: int, stride: int) -> Report:
    """The report of a test.

    Args:
        trainer: of the run.
        predictions: of `trainer.predict(windows of the test)`: rows of `make_reduce`.
        data: the questions.
        sample: test questions that are asked again of other contexts and in other windows (see `sensitivity`).
        max_length, stride: of the windows.
    """
    split = data.splits["test"]
    answered = np.array([bool(texts) for texts in data.splits["train"]["answers"][:]])
    rows = {name: split[name][:] for name in ("question", "context", "answers", "starts", "title", "id")}
    answers = join_windows(predictions, rows["context"], may_be_none=not all(rows["answers"]))
    exact, f1 = score_answers(answers.texts, rows["answers"])
    articles = number_articles(split)
    temperature = getattr(trainer.model.config, "answer_temperature", 1.0)
    likely, first = probabilities(answers, temperature), are_first(answers, rows["answers"])
    (low, high), (exact_low, exact_high) = bounds(f1, articles), bounds(exact, articles)
    report = Report(
        baselines=decoding_mistakes(predictions, answers, rows),
        measured={
            **{"f1_low": low, "f1_high": high, "exact_match_low": exact_low, "exact_match_high": exact_high},
            "calibration_error": calibration_error(likely, first),
            "calibration_error_uncalibrated": calibration_error(probabilities(answers, 1.0), first),
            "train_examples": int(answered.sum()),
            "test_examples": len(split),
            "examples": describe_examples(f1, exact, articles),
        },
    )
    unlearned = int(answered.sum()) - int(answered[np.unique(trainer.train_dataset["example"][:])].sum())
    unfound = sum(bool(texts) and not held for texts, held in zip(rows["answers"], answers.held))
    lengths = [len(context.split()) for context in rows["context"]]
    answer_lengths = [len(texts[0].split()) if texts else 0 for texts in rows["answers"]]

    def table(name: str, groups: Sequence[str], order: Sequence[str] | None = None) -> list[dict[str, Any]]:
        return score_table(name, groups, exact, f1, articles, order)

    kinds = table("question", [kind_of(question) for question in rows["question"]])
    places, shared = (table(*each, QUARTERS) for each in (("place", place_of(rows)), ("shared", shared_words(rows))))
    windows = table("windows", [f"{number}" for number in answers.windows])

    report.sections = [
        Section(
            "How sure the numbers are",
            f"95 % intervals, articles drawn with all of their questions: F1 {low:.1f} to {high:.1f}, exact match {exact_low:.1f} to "
            f"{exact_high:.1f}. Of {int(answered.sum()):,} training questions {unlearned} were left out, whose answers are no whole tokens; "
            f"of the {len(split):,} test questions {unfound} have a first annotated answer that is none either, longer than an answer may be, or in "
            "no window as a whole.",
        ),
        Section(
            "By length of context and answer",
            "F1 and exact match, and the number of questions; the answer's length is that of the first annotation.",
            figure=plot_heat_maps(lengths, answer_lengths, {"F1": f1, "exact match": exact}),
        ),
        Section("By length of the context", "", plain(table("context", put(lengths, CONTEXTS), names_of(CONTEXTS)))),
        Section("By length of the answer", "", plain(table("answer", put(answer_lengths, ANSWERS), names_of(ANSWERS)))),
        Section(
            "By kind of question, place, words and windows",
            "F1 with 95 % intervals; the tables follow.",
            figure=plot_groups(
                {"kind": kinds, "place of the answer": places, "shared words": shared, "windows": windows}
            ),
        ),
        Section("By kind of question", "", plain(kinds)),
        Section("By number of windows", "", plain(windows)),
        Section("By place of the answer in the context", "", plain(places)),
        Section(
            "By words that the question shares with the sentence of the answer",
            "Of the question's words of more than three letters.",
            plain(shared),
        ),
        *describe_articles(
            score_table("article", [title.replace("_", " ") for title in rows["title"]], exact, f1, np.arange(len(f1)))
        ),
        Section(
            "Calibration",
            "Exact match with the first annotated answer, training questions having no other, against the score that the pipeline gives, at the "
            f"temperature {temperature:g} that was fitted on validation questions: mean distance {report.measured['calibration_error']:.3f}; {report.measured['calibration_error_uncalibrated']:.3f} at "
            "temperature 1 (Guo et al. 2017).",
            figure=plot_calibration(likely, first),
        ),
        describe_errors(answers, rows, exact),
    ]
    if sample:
        again = ask_again(trainer, split, sample, max_length=max_length, stride=stride)
        report.measured |= {"sensitivity": again}
        report.measured |= {name: again.get(name) for name in ("answerable_auroc", "declined_right", "declined_wrong")}
        report.sections += [
            Section(
                "The same questions of other contexts",
                f"{again['questions']} test questions, asked of the sentence that holds the answer, of the context, of the context written twice, "
                "and of the context between other paragraphs of the data.",
                again["contexts"],
            ),
            Section("Other windows", "The same questions; seconds of the whole evaluation.", again["windows"]),
        ]
        if "answerable_auroc" in again:
            report.sections.append(
                Section(
                    "Contexts that do not answer",
                    "The same questions of their own contexts and of like ones without the words of an answer (an annotation may be missing): the "
                    f"margin of the best span over no answer tells them apart with an area under the curve of {again['answerable_auroc']:.3f}; no "
                    f"answer is the likelier in {again['declined_wrong']:.0%} of those that do not answer and in {again['declined_right']:.0%} of "
                    "those that do.",
                )
            )
    return report


def bounds(values: np.ndarray, articles: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of the mean in percent, articles drawn with replacement."""
    low, high = interval(resample(lambda chosen: values[chosen].mean(), len(values), groups=articles))
    return 100 * float(low), 100 * float(high)


def describe_examples(f1: np.ndarray, exact: np.ndarray, articles: np.ndarray) -> dict[str, Any]:
    """What a study compares two runs by: sums in percent and numbers of questions by article."""
    counts = np.bincount(articles)
    parts = {
        name: np.stack([np.bincount(articles, 100 * values), counts], 1).round(6).tolist()
        for name, values in (("f1", f1), ("exact_match", exact))
    }
    return {"ids": list(range(len(counts))), "scores": {name: {"model": each} for name, each in parts.items()}}


def decoding_mistakes(predictions: Any, answers: Answers, rows: dict[str, list]) -> dict[str, dict[str, float]]:
    """Scores of the same model's outputs under what careless evaluations do."""
    outputs, owners = predictions.predictions, predictions.label_ids["example"].astype(int)
    begins, contexts = predictions.label_ids["begin"], rows["context"]
    first = {
        int(owners[window]): window for window in np.argsort(-begins, kind="stable")
    }  # the last written begins first

    def cut(question: int, start: int, end: int) -> str:
        return contexts[question][int(start) : int(end)].strip()

    naive = [cut(n, *outputs["naive"][first[n]]) for n in range(len(contexts))]
    first_only = [cut(n, *outputs["spans"][first[n], 0]) for n in range(len(contexts))]
    found = {
        "the likeliest start and the likeliest end, each by itself, of the first window": (naive, rows["answers"]),
        "the first window only": (first_only, rows["answers"]),
        "the first annotated answer only": (answers.texts, [texts[:1] for texts in rows["answers"]]),
        NAIVE: (naive, [texts[:1] for texts in rows["answers"]]),
        f"{NAIVE}, and the first 2,000 questions only": (
            naive[:2000],
            [texts[:1] for texts in rows["answers"][:2000]],
        ),
    }
    return {
        name: {"exact_match": 100 * float(exact.mean()), "f1": 100 * float(f1.mean())}
        for name, (exact, f1) in ((name, score_answers(*pair)) for name, pair in found.items())
    }


# -- groups of questions -----------------------------------------------------------------------------
QUARTERS = ("0 to 25 %", "25 to 50 %", "50 to 75 %", "75 to 100 %")


def put(numbers: Sequence[int], buckets: Sequence[tuple[int, int | None, str]]) -> list[str]:
    return [
        next((name for low, high, name in buckets if number >= low and (high is None or number <= high)), "none")
        for number in numbers
    ]


def names_of(buckets: Sequence[tuple[int, int | None, str]]) -> list[str]:
    return [name for *_, name in buckets]


def quarter(share: float) -> str:
    return QUARTERS[min(int(4 * share), 3)]


def place_of(rows: dict[str, list]) -> list[str]:
    return [
        quarter(starts[0] / len(context)) if starts else "none"
        for starts, context in zip(rows["starts"], rows["context"])
    ]


def shared_words(rows: dict[str, list]) -> list[str]:
    groups = []
    for question, context, texts, starts in zip(*(rows[name] for name in ("question", "context", "answers", "starts"))):
        words = {word for word in normalize(question).split() if len(word) > 3}
        if not starts or not words:
            groups.append("none")
            continue
        first, end = sentence_around(context, starts[0], starts[0] + len(texts[0]))
        sentence = set(normalize(context[first:end]).split())
        groups.append(quarter(len(words & sentence) / len(words)))
    return groups


def score_table(
    name: str,
    groups: Sequence[str],
    exact: np.ndarray,
    f1: np.ndarray,
    articles: np.ndarray,
    order: Sequence[str] | None = None,
) -> list[dict[str, Any]]:
    """A row for each group, the commonest first, after those that an order is given for. An interval is left out where a group is of few
    articles, which do not tell how much articles differ."""
    groups = np.array(groups)
    names, counts = np.unique(groups, return_counts=True)
    ordered = dict.fromkeys(
        [*(each for each in order or () if each in names), *names[np.argsort(-counts, kind="stable")]]
    )
    rows = []
    for each in ordered:
        chosen = groups == each
        scores, number = {"exact match": exact[chosen], "F1": f1[chosen]}, len(np.unique(articles[chosen]))
        intervals = {
            f"{score} between": bounds(values, articles[chosen]) if number >= LEAST_ARTICLES else None
            for score, values in scores.items()
        }
        means = {score: 100 * float(values.mean()) for score, values in scores.items()}
        rows.append({name: str(each), "questions": int(chosen.sum()), **means, **intervals})
    return rows


def plain(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of `score_table` for a page."""
    return [
        {key: f"{value[0]:.1f} to {value[1]:.1f}" if isinstance(value, tuple) else value for key, value in row.items()}
        for row in rows
    ]


def describe_articles(table: list[dict[str, Any]], least: int = 30) -> list[Section]:
    """The worst and the best; no section where too few have a title and enough questions."""
    rows = sorted((row for row in table if row["article"] and row["questions"] >= least), key=lambda row: row["F1"])
    text = f"The five worst and the five best with at least {least} questions; one article cannot say how much articles differ by chance, so the "
    text += "intervals draw its questions."
    return [Section("Articles", text, plain(rows[:5] + rows[-5:]))] if len(rows) >= 10 else []


# -- errors ------------------------------------------------------------------------------------------
def error_of(span: Sequence[int], starts: Sequence[int], texts: Sequence[str]) -> str:
    """Which of `ERRORS` a wrong span is, against the annotated answer that it shares most characters with."""
    if not texts:
        return "none to be given"
    if span[0] == span[1]:
        return "none given"
    golds = [(start, start + len(text)) for start, text in zip(starts, texts)]
    shared = [min(span[1], end) - max(span[0], start) for start, end in golds]
    best = int(np.argmax(shared))
    if shared[best] <= 0:
        return "elsewhere"
    start, end = golds[best]
    if span[0] >= start and span[1] <= end:
        return "too short"
    return "too long" if span[0] <= start and span[1] >= end else "overlapping"


def describe_errors(answers: Answers, rows: dict[str, list], exact: np.ndarray) -> Section:
    """How often each kind of error occurs, and the first example of each, in few words."""
    examples: dict[str, str] = {}
    counts = dict.fromkeys(ERRORS, 0)
    for number in np.flatnonzero(exact == 0):
        texts, starts = rows["answers"][number], rows["starts"][number]
        kind = error_of(answers.spans[number], starts, texts)
        counts[kind] += 1
        if (
            kind not in examples
            and len(answers.texts[number]) < 50
            and score_answer(answers.texts[number], texts)[1] < 0.7
        ):
            wanted = texts[0] if texts else "nothing"
            examples[kind] = f"*{answers.texts[number] or 'nothing'}* for *{wanted}* (question {rows['id'][number]})"
    total = max(sum(counts.values()), 1)
    table = [
        {"error": kind, "questions": number, "share": f"{number / total:.0%}", "example": examples.get(kind, "")}
        for kind, number in counts.items()
        if number or kind in ERRORS[:4]
    ]
    return Section("Errors", f"Of {total:,} answers that are not an annotated one, word by word.", table)


# -- figures -----------------------------------------------------------------------------------------
def plot_heat_maps(contexts: Sequence[int], answers: Sequence[int], scores: dict[str, np.ndarray]):
    columns, rows = names_of(CONTEXTS), names_of(ANSWERS)
    of_context, of_answer = np.array(put(contexts, CONTEXTS)), np.array(put(answers, ANSWERS))
    figure, axes = new_figure(1, len(scores), 5.6, 3.4)
    for axis, (name, values) in zip(axes[0], scores.items()):
        means, counts = np.full((len(rows), len(columns)), np.nan), np.zeros((len(rows), len(columns)), int)
        for place in np.ndindex(means.shape):
            chosen = (of_answer == rows[place[0]]) & (of_context == columns[place[1]])
            counts[place] = chosen.sum()
            if chosen.any():
                means[place] = 100 * values[chosen].mean()
        image = axis.imshow(means, cmap="viridis", vmin=0, vmax=100, aspect="auto")
        axis.set_xticks(range(len(columns)), columns, size=7)
        axis.set_yticks(range(len(rows)), rows, size=7)
        axis.set(xlabel="words of the context", ylabel="words of the answer", title=name)
        for row, column in np.ndindex(means.shape):
            if counts[row, column]:
                color = "white" if means[row, column] < 60 else "black"
                text = f"{means[row, column]:.0f}\nn={counts[row, column]}"
                axis.text(column, row, text, ha="center", va="center", size=7, color=color)
    figure.colorbar(image, ax=list(axes[0]))
    return figure


def plot_groups(tables: dict[str, list[dict[str, Any]]]):
    """F1 with its interval of each row of `score_table`, a panel for each table."""
    figure, axes = new_figure(1, len(tables), 3.2, 3.4)
    for axis, (title, rows) in zip(axes[0], tables.items()):
        for place, row in enumerate(rows):
            if row["F1 between"]:
                axis.plot(row["F1 between"], [-place, -place], color=ACCENT, linewidth=1.5)
            axis.plot(row["F1"], -place, "o", color=ACCENT, markersize=4)
        names = [f"{next(iter(row.values()))} ({row['questions']:,})" for row in rows]
        axis.set_yticks([-place for place in range(len(rows))], names, size=7)
        axis.set(xlabel="F1", title=title)
        axis.grid(axis="x", alpha=0.3)
    return figure


def binned(likely: np.ndarray, right: np.ndarray) -> list[tuple[float, float, int]]:
    """Mean probability, share of right answers and number of questions of equal bins of probability."""
    places = np.minimum((likely * BINS).astype(int), BINS - 1)
    return [
        (float(likely[places == n].mean()), float(right[places == n].mean()), int((places == n).sum()))
        for n in range(BINS)
        if (places == n).any()
    ]


def calibration_error(likely: np.ndarray, right: np.ndarray) -> float:
    """The mean distance of probability and share of right answers, weighted by the number of questions (Naeini et al. 2015)."""
    return sum(number * abs(mean - share) for mean, share, number in binned(likely, right)) / len(likely)


def plot_calibration(likely: np.ndarray, right: np.ndarray):
    means, shares, numbers = zip(*binned(likely, right))
    figure, axes = new_figure(1, 1, 4.2, 3.6)
    axis = axes[0, 0]
    axis.plot([0, 1], [0, 1], color=MUTED, linewidth=1)
    axis.plot(means, shares, color=ACCENT, marker="o", markersize=4)
    for mean, share, number in zip(means, shares, numbers):
        axis.annotate(f"{number:,}", (mean, share), xytext=(4, -8), textcoords="offset points", size=6, color=INK)
    axis.set(xlabel="score", ylabel="exact match", xlim=(0, 1), ylim=(0, 1))
    return figure
