"""The page of a task's studies: a table and a figure for each section, made of the committed results."""

from pathlib import Path
from typing import Any

import numpy as np

from .intervals import interval, parts_of, quotient, resample
from .model_card import format_cell, markdown_table, save_figure
from .study import CARDS, Section, Study
from .study_figures import mean_of, plot_section

COMPARED = (
    "By test example, over the seeds that both have; the interval is that of a paired bootstrap which draws an example, or a group of them, "
    "with all of its runs, so that it says how sure the difference is for other examples, and not for other seeds:"
)


def write_page(studies: list[Study], folder: Path = CARDS) -> Path:
    """`TASK.md` in `folder` with a table and a figure for each section that has results."""
    task = studies[0].task
    figures = folder / task
    figures.mkdir(parents=True, exist_ok=True)
    hardware: set[str] = set()
    # by variant and seed: sections and studies may share a run
    seconds: dict[tuple[str, int], float] = {}
    whole: dict[tuple[str, int], float | None] = {}
    parts = []
    for study in studies:
        if any(study.results(name) for name in study.variants):
            introduction = f"{study.summary.strip()}\n\n" if study.summary else ""
            parts.append(f"## {study.title}\n\n{introduction}From `hf-recipes study {study.file}`.\n")
        for number, section in enumerate(study.sections):
            results = {name: study.results(name) for name in section.variants}
            results = {name: runs for name, runs in results.items() if runs}
            if not results:
                continue
            hardware |= {
                f"{run['hardware']}, {run['results']['precision']}" for runs in results.values() for run in runs
            }
            seconds |= {
                (name, run["seed"]): run["results"]["train_seconds"] for name, runs in results.items() for run in runs
            }
            whole |= {(name, run["seed"]): run.get("seconds") for name, runs in results.items() for run in runs}
            figure, drawn = figures / f"{study.file.stem}_{number}.png", plot_section(study, section, results)
            if drawn is not None:
                save_figure(drawn, figure)
            table = markdown_table(section_rows(study, section, results))
            comparison = markdown_table(comparison_rows(study, section))
            if comparison:
                table += f"\n\n{COMPARED}\n\n{comparison}"
            cards = [f"[{name}]({task}/{name}/README.md)" for name in section.cards if name in results]
            links = f"Cards with the analysis of one run: {', '.join(cards)}.\n\n" if cards else ""
            picture = f"![{section.title}]({task}/{figure.name})\n" if drawn is not None else ""
            parts.append(f"### {section.title}\n\n{section.text.strip()}\n\n{table}\n\n{links}{picture}")
    with_tests = ""
    if whole and all(whole.values()):
        with_tests = f", {sum(whole.values()) / 3600:.1f} with their data, baselines and tests"
    text = (
        f"# {studies[0].page}: the study\n\n"
        "Every number is mean ± standard deviation over the runs of a row, each with another seed, which draws its "
        "weights, its augmentation and, where data are drawn, its data; a number without ± is of a single run; in figures a diamond, line or named point is the mean, a whisker the "
        "standard deviation, a small dot a run; hollow are baselines, gray published numbers. The test split is used once a run, by the saved model "
        "loaded again, in fp32. Minutes are wall clock of the training with its validation, all runs together "
        f"{sum(seconds.values()) / 3600:.1f} hours{with_tests}. Hardware: {'; '.join(sorted(hardware))}. "
        f"Each run's numbers are in `results/{task}/`.\n\n"
    )
    page = folder / f"{task}.md"
    page.write_text(text + "\n".join(parts))
    return page


def examples_of(study: Study, variant: str) -> dict[int, dict]:
    """Scores by example of the runs of a variant, by seed."""
    return {run["seed"]: run["results"]["examples"] for run in study.results(variant)}


def section_rows(study: Study, section: Section, results: dict[str, list[dict]]) -> list[dict[str, Any]]:
    """One row per variant; with `baselines`, those of the first variant; then what papers report. Columns without a value are left out."""
    rows = variant_rows(study, results)
    if section.baselines:
        trained = section.baselines != "untrained"
        rows += baseline_rows(study, next(iter(results.values())), trained)
    for name, row in section.published.items():
        rows.append({"variant": f"*published:* {name}"} | {study.metrics[key]: value for key, value in row.items()})
    filled = [key for key in rows[0] if any(row.get(key) is not None for row in rows)]
    return [{key: row.get(key) for key in filled} for row in rows]


def variant_rows(study: Study, results: dict[str, list[dict]]) -> list[dict[str, Any]]:
    rows = []
    trained_in = {
        name: ", ".join(sorted({run["results"]["precision"] for run in runs})) for name, runs in results.items()
    }
    differ = len(set(trained_in.values())) > 1  # else the page says it once
    for name, runs in results.items():
        row = {"variant": name, "runs": len(runs)}
        row |= {
            title: mean_and_deviation([run["results"].get(key) for run in runs]) for key, title in study.metrics.items()
        }
        if "train_examples" in runs[0]["results"]:
            row["parameters"] = runs[0]["results"]["parameters"]
            row[f"training {study.unit}"] = round(mean_of(runs, "train_examples"))
        row["minutes"] = mean_and_deviation([run["results"]["train_seconds"] / 60 for run in runs])
        row["trained in"] = trained_in[name] if differ else None
        rows.append(row)
    return rows


def baseline_rows(study: Study, runs: list[dict], trained: bool) -> list[dict[str, Any]]:
    """One for each baseline that the runs measured on their test; `trained` on what the runs were trained on."""
    rows = []
    for name in runs[0]["results"].get("baselines", {}):
        row = {"variant": f"*baseline:* {name}", "runs": len(runs)}
        if trained:
            row[f"training {study.unit}"] = round(mean_of(runs, "train_examples"))
        for key, title in study.metrics.items():
            values = [run["results"]["baselines"][name].get(key.removeprefix("test_")) for run in runs]
            row[title] = mean_and_deviation(values) if key.startswith("test_") else None
        rows.append(row)
    return rows


def find_side(study: Study, section: Section, name: str, other: str) -> tuple[dict[int, dict], str]:
    """Scores by example of one side of a comparison, by seed, and what they are filed under: those of a variant, or of a baseline that the
    other side measured, or else any of the section's variants."""
    if name in study.variants:
        return examples_of(study, name), "model"
    variants = [*([other] if other in study.variants else []), *section.variants]
    found, metric = [examples_of(study, each) for each in variants], section.compare["by"]
    if other in study.variants and not found[0]:
        return {}, name  # it is not run yet
    known = {each for runs in found for run in runs.values() for each in run["scores"][metric]}
    if known and name not in known:
        raise ValueError(f"{study.file}: {name!r} is neither a variant nor a baseline: {', '.join(sorted(known))}")
    return next((runs for runs in found if runs and name in next(iter(runs.values()))["scores"][metric]), {}), name


def comparison_rows(study: Study, section: Section) -> list[dict[str, Any]]:
    """A row for each pair of the section's `compare`, whose sides are variants or baselines."""
    rows, metric = [], section.compare.get("by")
    for first, second in section.compare.get("pairs", []):
        runs, ours_is = find_side(study, section, first, second)
        others, theirs_is = find_side(study, section, second, first)
        seeds = sorted(runs.keys() & others.keys())
        if not seeds:
            continue
        for seed in seeds:
            if runs[seed]["ids"] != others[seed]["ids"]:
                raise ValueError(f"{study.file}: {first} and {second} were tested on other examples with seed {seed}")
        ours, theirs = (
            np.concatenate([parts_of(each[seed]["scores"][metric][name]) for seed in seeds])
            for each, name in ((runs, ours_is), (others, theirs_is))
        )
        groups = np.concatenate([runs[seed].get("groups", runs[seed]["ids"]) for seed in seeds])
        strata = np.concatenate([runs[seed].get("strata", [0] * len(runs[seed]["ids"])) for seed in seeds])

        def difference(rows: np.ndarray, ours=ours, theirs=theirs) -> float:
            return quotient(ours[rows]) - quotient(theirs[rows])

        low, high = interval(resample(difference, len(groups), groups=groups, strata=strata))
        measured = f"{difference(np.arange(len(groups))):+.4f}"
        rows.append(
            {
                "first": first,
                "second": second,
                "runs": len(seeds),
                f"difference in {metric.replace('_', ' ')}": measured,
            }
            | {"95 % interval": f"{low:+.4f} to {high:+.4f}"}
        )
    return rows


def format_measured(value: float | int) -> str:
    """With four digits, zeros at the end among them; whole numbers stay whole."""
    return f"{value:#.4g}" if isinstance(value, float) and abs(value) < 1000 else format_cell(value)


def mean_and_deviation(values: list[float | None]) -> str | None:
    """Such as 1.65 ± 0.12, with two digits of the sample standard deviation; None where a run has no value."""
    if not values or None in values or not np.isfinite(values).all():  # of some runs only: not what the row promises
        return None
    if len(set(values)) == 1:
        return format_measured(values[0])
    mean, deviation = np.mean(values), np.std(values, ddof=1)
    if deviation <= 1e-5 * abs(mean):  # the same but for rounding
        return format_measured(float(mean))
    digits = min(max(0, 1 - int(np.floor(np.log10(deviation)))), 4)
    return f"{mean:.{digits}f} ± {deviation:.{digits}f}"
