"""What an index and a reader make of gold questions: numbers, tables and figures, and the page that shows them."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..figures import ACCENT, INK, new_figure
from ..intervals import interval, resample
from ..model_card import Report, Section, markdown_table, save_figures
from .documents import Document
from .evaluation import SEMANTIC, Measured, abstentions, examples_of, first_rank, stage_of_failure
from .index import PassageIndex
from .pipeline import describe_place
from .questions import held_out
from .readers import says_nothing
from .scores import cross_fit, fit_threshold, mean_of, score_abstention, share_of_words

RETRIEVAL = {
    "mrr": "reciprocal_rank",
    "hit_at_1": "hit_at_1",
    "hit_at_3": "hit_at_3",
    "hit_at_5": "hit_at_5",
    "ndcg_at_10": "ndcg",
    "evidence_recall": "evidence_recall",
}
READING = (
    "right",
    "contains",
    "exact_match",
    "f1",
    "semantic",
    "citation_precision",
    "citation_recall",
    "grounded",
    "specificity",
)
FACTS = "fact"  # the kind of who, what and where
RANKS = ((1, 1, "first"), (2, 2, "second"), (3, 3, "third"), (4, 5, "fourth or fifth"), (6, 10**9, "later"))
SHARES = ("up to a quarter", "up to a half", "more than a half")
SHOWN = 12  # failures
MOST_WORDS = 12  # of an answer in a table


def summarize(measured: Sequence[Measured], indexing: float, least_score: float = 0.0) -> dict[str, Any]:
    """The numbers of a run: `eval_*` of the half that chooses, `test_*` of the half that is held out, `all_*` of both.

    Args:
        measured: of `search_all` and, with a reader, `answer_all`.
        indexing: its seconds.
        least_score: below which the reader's answers are not to be believed by its own rule.
    """
    second = held_out([each.gold for each in measured])
    results: dict[str, Any] = {}
    for part, chosen in (("eval", ~second), ("test", second), ("all", np.ones(len(measured), bool))):
        rows = [each for each, keep in zip(measured, chosen) if keep and each.gold.answerable]
        results |= {
            f"{part}_{name}": mean_of([each.retrieval for each in rows], key) for name, key in RETRIEVAL.items()
        }
        if measured[0].answer is not None:
            results |= {f"{part}_{name}": mean_of([each.reading for each in rows], name) for name in READING}
            facts = [each.reading for each in rows if each.gold.kind == FACTS]
            results[f"{part}_facts_right"] = mean_of(facts, "right")
    results |= {
        "questions": len(measured),
        "milliseconds": float(np.median([each.milliseconds for each in measured])),
        "index_seconds": indexing,
        # what a run that was resumed has spent before, too
        "train_seconds": indexing + sum(map(seconds_of, measured)),
        "examples": examples_of([each for each in measured if each.gold.answerable]),
    }
    if measured[0].answer is not None:
        scores, abstained, answerable = abstentions(measured)
        decided, thresholds = decline(measured)
        right = np.array([each.reading.get("right", 0.0) for each in measured]) * ~decided
        facts = np.array([each.gold.kind == FACTS for each in measured])
        low, high = interval(
            resample(
                lambda rows: score_abstention(decided[rows], answerable[rows])["abstention_f1"],
                len(measured),
                strata=answerable,
            )
        )
        results |= {
            **score_abstention(decided, answerable),
            "abstention_f1_low": float(low),
            "abstention_f1_high": float(high),
            "abstention_f1_of_reader": score_abstention(abstained | (scores < least_score), answerable)[
                "abstention_f1"
            ],
            "least_scores": thresholds,
            "least_score": fit_threshold(scores, abstained, answerable),
            "right_at_score": float(right[answerable].mean()),
            "facts_right_at_score": float(right[facts].mean()) if facts.any() else None,
            "right_of_answered": float(right.sum() / max((~decided).sum(), 1)),
            **{
                f"{stage}_milliseconds": 1000 * float(np.median([each.answer.seconds[stage] for each in measured]))
                for stage in ("retrieve", "read", "ground")
            },
        }
    return results


def decline(measured: Sequence[Measured]) -> tuple[np.ndarray, list[float]]:
    """Which questions nothing is answered to, each half by the score that was fitted on the other, and these scores."""
    return cross_fit(*abstentions(measured), held_out([each.gold for each in measured]))


def seconds_of(each: Measured) -> float:
    return sum(each.answer.seconds.values()) if each.answer else each.milliseconds / 1000


def make_report(
    measured: Sequence[Measured], document: Document, results: dict[str, Any], memory: dict[str, float]
) -> Report:
    """Tables and figures.

    Args:
        document: that the questions are about.
        measured: of `search_all` and, with a reader, `answer_all`.
        results: of `summarize`.
        memory: megabytes of this process after each stage was loaded.
    """
    rows = [each for each in measured if each.gold.answerable]
    with_reader = measured[0].answer is not None
    report = Report(sections=[describe_numbers(rows, results, with_reader), describe_kinds(measured, with_reader)])
    report.sections.append(
        Section(
            "By words that a question shares with its evidence",
            "Share of the question's content words that stand in its evidence.",
            table_of(rows, [share_group(each, document) for each in rows], SHARES, with_reader),
        )
    )
    if with_reader:
        report.sections += [
            Section(
                "From the passage's rank to the answer",
                "Share of right answers by the rank of the first passage that holds evidence; what is not found among the passages cannot be read.",
                figure=plot_ranks(rows),
            ),
            describe_abstention(measured, results),
            describe_failures(measured),
        ]
    stages = {"search": results["milliseconds"]}
    if with_reader:
        stages = {stage: results[f"{stage}_milliseconds"] for stage in ("retrieve", "read", "ground")}
    report.sections.append(
        Section(
            "Time and memory",
            f"Indexing took {results['index_seconds']:.1f} s. Milliseconds are the median of a question; memory is that of the process after "
            "each stage was loaded.",
            [{"stage": stage, "": f"{value:.1f} ms"} for stage, value in stages.items()]
            + [{"stage": f"memory after {stage}", "": f"{value:.0f} MB"} for stage, value in memory.items()],
        )
    )
    return report


def bounds(values: Sequence[float]) -> str:
    values = np.array(values, float)
    low, high = interval(resample(lambda rows: values[rows].mean(), len(values)))
    return f"{values.mean():.3f} ({low:.3f} to {high:.3f})"


def describe_numbers(rows: Sequence[Measured], results: dict[str, Any], with_reader: bool) -> Section:
    values = {name: [each.retrieval[key] for each in rows] for name, key in RETRIEVAL.items()}
    if with_reader:
        values |= {name: [each.reading[name] for each in rows if each.reading[name] is not None] for name in READING}
        values["facts_right"] = [each.reading["right"] for each in rows if each.gold.kind == FACTS]
    table = [
        {
            "": name.replace("_", " "),
            "chosen on": results[f"eval_{name}"],
            "held out": results[f"test_{name}"],
            "both, with a 95 % interval": bounds(each) if each else None,
        }
        for name, each in values.items()
    ]
    text = f"{len(rows)} questions that the text answers; every second one of each kind is held out."
    if with_reader:
        text += (
            f" Right is an answer that holds in a row the words of a gold answer which the question does not hold, or has an F1 of words of a half or more with one; semantic is a "
            f"cosine of {SEMANTIC} or more with one; specificity is the mean normalised inverse document frequency of its words."
        )
    return Section("How sure the numbers are", text, table)


def table_of(
    rows: Sequence[Measured], groups: Sequence[str], order: Sequence[str], with_reader: bool
) -> list[dict[str, Any]]:
    table = []
    for name in order:
        members = [each for each, group in zip(rows, groups) if group == name]
        if not members:
            continue
        row: dict[str, Any] = {"": name, "questions": len(members)}
        for title, key in (("MRR", "reciprocal_rank"), ("hit@5", "hit_at_5"), ("evidence recall", "evidence_recall")):
            row[title] = mean_of([each.retrieval for each in members], key)
        if with_reader:
            row |= {"right": mean_of([each.reading for each in members], "right")}
            row |= {"F1": mean_of([each.reading for each in members], "f1")}
        table.append(row)
    return table


def describe_kinds(measured: Sequence[Measured], with_reader: bool) -> Section:
    rows = [each for each in measured if each.gold.answerable]
    kinds = [each.gold.kind for each in rows]
    return Section("By kind of question", "", table_of(rows, kinds, list(dict.fromkeys(kinds)), with_reader))


def share_group(each: Measured, document: Document) -> str:
    evidence = " ".join(document.text[start:end] for start, end in each.gold.evidence)
    share = share_of_words(each.gold.question, evidence)
    return SHARES[0] if share <= 0.25 else SHARES[1] if share <= 0.5 else SHARES[2]


def plot_ranks(rows: Sequence[Measured]) -> Any:
    """Bars of right answers by rank, the number of questions above each."""
    groups: dict[str, list[float]] = {name: [] for *_, name in RANKS} | {"not found": []}
    for each in rows:
        rank = first_rank(each, len(each.answer.hits))
        name = next((name for low, high, name in RANKS if rank is not None and low <= rank <= high), "not found")
        groups[name].append(each.reading["right"])
    groups = {name: values for name, values in groups.items() if values}
    figure, axes = new_figure(1, 1, 5.2, 3.4)
    axis, means = axes[0, 0], [float(np.mean(values)) for values in groups.values()]
    axis.bar(range(len(groups)), means, color=ACCENT, width=0.7)
    for place, (mean, values) in enumerate(zip(means, groups.values())):
        axis.text(place, mean + 0.02, f"n = {len(values)}", ha="center", size=8, color=INK)
    axis.set_xticks(range(len(groups)), list(groups))
    axis.set(xlabel="rank of the passage", ylabel="share of right answers", ylim=(0, 1.05))
    return figure


def describe_abstention(measured: Sequence[Measured], results: dict[str, Any]) -> Section:
    unanswerable = sum(not each.gold.answerable for each in measured)
    low, high = sorted(results["least_scores"])
    return Section(
        "Saying nothing",
        f"Of {len(measured)} questions the text does not answer {unanswerable}. Each half is judged by the score that was fitted on the other "
        f"half, {low:.3g} and {high:.3g}: precision {results['abstention_precision']:.2f}, recall {results['abstention_recall']:.2f}, F1 "
        f"{results['abstention_f1']:.2f} ({results['abstention_f1_low']:.2f} to {results['abstention_f1_high']:.2f}); {results['abstention_f1_of_reader']:.2f} where the reader alone says when "
        f"it has nothing to say, by its own rule. What is then answered is right in {results['right_of_answered']:.0%} of cases, which is "
        f"{results['right_at_score']:.0%} of the questions that the text answers. The index keeps {results['least_score']:.3g}, fitted on all "
        "questions, for this reader.",
        figure=plot_scores(measured),
    )


def plot_scores(measured: Sequence[Measured]) -> Any:
    """The reader's scores where the text answers a question and where it does not."""
    figure, axes = new_figure(1, 1, 5.2, 3.2)
    bins = np.linspace(0, 1, 21)
    for color, name, wanted in ((ACCENT, "the text answers", True), (INK, "it does not", False)):
        scores = [each.answer.score for each in measured if each.gold.answerable == wanted]
        axes[0, 0].hist(scores, bins, color=color, alpha=0.6, label=name, density=True)
    axes[0, 0].set(xlabel="score of the answer", ylabel="density")
    axes[0, 0].legend(frameon=False)
    return figure


def describe_failures(measured: Sequence[Measured]) -> Section:
    """How many fail at which stage, and some of each."""
    stages = [(each, stage_of_failure(each, declined)) for each, declined in zip(measured, decline(measured)[0])]
    counts = Counter(stage for _, stage in stages if stage)
    table, left = [], {stage: max(1, SHOWN // max(len(counts), 1)) for stage in counts}
    for each, stage in stages:
        if stage and left[stage]:
            left[stage] -= 1
            rank = first_rank(each, len(each.hits)) if each.gold.answerable else None
            table.append(
                {
                    "stage": stage,
                    "question": each.gold.question,
                    "expected": each.gold.answers[0] if each.gold.answers else "nothing",
                    "best passage": describe_place(each.hits[0]) if each.hits else "",
                    "rank of the right one": "" if rank is None else str(rank),
                    "the reader said": "nothing" if says_nothing(each.answer.raw) else cut_words(each.answer.raw),
                    "score": each.answer.score,
                }
            )
    table.sort(key=lambda row: -counts[row["stage"]])
    text = "; ".join(f"{stage}: {number}" for stage, number in counts.most_common()) or "none"
    return Section("Failures by stage", f"{text}. Some of each:", table)


def cut_words(text: str) -> str:
    words = text.split()
    return " ".join(words[:MOST_WORDS]) + (" ..." if len(words) > MOST_WORDS else "")


def write_page(index: PassageIndex, report: Report, results: dict[str, Any], folder: Path) -> None:
    """The card of the index with what was measured, and its figures."""
    parts = [index.describe(), f"## Measured\n\n{results['questions']} gold questions."]
    for section in report.sections:
        figure = f"![{section.title}]({section.file})" if section.figure is not None else ""
        parts += [f"### {section.title}", section.text, markdown_table(section.table), figure]
    save_figures(report, folder)
    (folder / "README.md").write_text("\n\n".join(part.strip() for part in parts if part.strip()) + "\n")
