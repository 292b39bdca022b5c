"""The figures of a study's sections, made of the committed results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator
from matplotlib.transforms import Bbox

from .figures import ACCENT, INK, MUTED, PALETTE, new_figure, plot_with_spread
from .intervals import interval, resample

if TYPE_CHECKING:
    from .study import Section, Study

AXES = {
    "train_seconds": "minutes of training",
    "parameters": "parameters",
    "flops": "FLOPs an image",
    "multiply_adds": "multiply-adds for 1280 x 720",
    "receptive_field": "receptive field, pixels of the small image",
}


# where a name may stand from its point, in points: beside it first, then further up or down
NAME_OFFSETS = [(x, y) for y in (4, -11, 13, -20, 22, -29, 31, -38, 40, -47) for x in (6, -6)]


def mean_of(runs: list[dict], key: str) -> float:
    return float(np.mean([run["results"][key] for run in runs]))


def plot_section(study: Study, section: Section, results: dict[str, list[dict]]) -> Figure | None:
    """The headline of every variant with its standard deviation; None while there is nothing to compare."""
    if len(results) + len(section.published) < 2:
        return None
    return PLOTS[section.plot](study, section, results)


def headline_values(study: Study, results: dict[str, list[dict]]) -> tuple[str, dict[str, np.ndarray]]:
    """The headline's name, and by variant its value in each run."""
    key, title = next(iter(study.metrics.items()))
    return title, {name: np.array([run["results"][key] for run in runs]) for name, runs in results.items()}


def spread(values: np.ndarray) -> float:
    """The sample standard deviation; not a number, which is not drawn, for a single run."""
    return values.std(ddof=1) if len(values) > 1 else np.nan


def drawn_lines(section: Section, results: dict[str, list[dict]]) -> list[tuple[str, str | None, list[str]]]:
    """Colour, name and the variants that have results, for each of the section's `lines`, or for all in one."""
    lines = section.lines or {None: section.variants}
    if len(lines) > len(PALETTE):
        raise ValueError(f"{section.title!r} has {len(lines)} lines; a figure has colours for {len(PALETTE)}")
    return [
        (color, line, [name for name in names if name in results])
        for color, (line, names) in zip(PALETTE, lines.items())
    ]


def plot_rows(study: Study, section: Section, results: dict[str, list[dict]]) -> Figure:
    """A row per variant, then the means of the baselines that the section compares with, hollow, then the published ones."""
    title, values = headline_values(study, results)
    headline = next(iter(study.metrics))
    key = headline.removeprefix("test_")
    compared = {name for pair in section.compare.get("pairs", []) for name in pair}
    measured = baseline_means(section, results)
    baselines = {name: row[key] for name, row in measured.items() if key in row and name in compared}
    told = {name: row[headline] for name, row in section.published.items() if headline in row}
    published = {name: [float(part) for part in text.split("±")] for name, text in told.items()}
    names = [*values, *baselines, *(f"{name}*" for name in published)]
    figure, axes = new_figure(1, 1, 7.5, 0.9 + 0.3 * len(names))
    axis, places, label = axes[0, 0], -np.arange(len(names)), title
    for place, each in zip(places, values.values()):
        axis.errorbar(
            each.mean(), place, xerr=spread(each), fmt="D", color=ACCENT, markersize=5, capsize=3, label=label
        )
        axis.scatter(each, [place] * len(each), s=10, color=INK, alpha=0.6, zorder=3, linewidths=0)
        label = None
    if section.also:
        others = [np.mean([run["results"][section.also] for run in runs]) for runs in results.values()]
        name = study.metrics[section.also]
        axis.plot(others, places[: len(others)], "D", color=INK, fillstyle="none", markersize=5, label=name)
        axis.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
        title = title.removeprefix("test ")  # the axis is that of both
    axis.plot(
        list(baselines.values()),
        places[len(values) :][: len(baselines)],
        "o",
        color=MUTED,
        fillstyle="none",
        markersize=5,
    )
    for place, (mean, *deviation) in zip(places[len(values) + len(baselines) :], published.values()):
        axis.errorbar(mean, place, xerr=deviation or None, fmt="D", color=MUTED, markersize=4, capsize=3)
    axis.set_yticks(places, names)
    axis.set(ylim=(places[-1] - 0.6, 0.6), xlabel=title + (" (* published)" if published else ""))
    axis.grid(axis="x", alpha=0.3)
    return figure


def axis_name(study: Study, key: str) -> str:
    return {"train_examples": f"training {study.unit}", **study.metrics, **AXES}.get(key, key)


def plot_curve(study: Study, section: Section, results: dict[str, list[dict]]) -> Figure:
    """A line for each of the section's `lines` against `x`."""
    title, values = headline_values(study, results)
    figure, axes = new_figure(1, 1, 5.5, 3.6)
    axis, ticks = axes[0, 0], set()
    for color, line, done in drawn_lines(section, results):
        x = np.array([mean_of(results[name], section.x) for name in done])
        order = np.argsort(x)
        means, deviations = (np.array([f(values[name]) for name in done]) for f in (np.mean, spread))
        plot_with_spread(axis, x[order], means[order], deviations[order], line, color)
        for place, name in zip(x, done):
            axis.scatter([place] * len(values[name]), values[name], s=9, color=color, alpha=0.5, zorder=3, linewidths=0)
        ticks |= {int(each) for each in x}
    axis.set(xscale="log", xlabel=axis_name(study, section.x), ylabel=title)
    axis.set_xticks(sorted(ticks), [f"{tick:,}" for tick in sorted(ticks)], minor=False)
    axis.minorticks_off()
    if section.lines:
        axis.legend(frameon=False)
    return figure


def plot_scatter(study: Study, section: Section, results: dict[str, list[dict]]) -> Figure:
    """A point per variant, one panel for each `x`; with `baselines`, hollow points of those of the first variant that have been measured by both
    axes."""
    title, values = headline_values(study, results)
    panels = [section.x] if isinstance(section.x, str) else section.x
    figure, axes = new_figure(1, len(panels), 5.2, 4.0)
    named: list[list[tuple[float, float, str]]] = []
    for axis, key in zip(axes[0], panels):
        named.append(points := [])
        for color, line, done in drawn_lines(section, results):
            x = [np.mean([place_on(key, run["results"]) for run in results[name]]) for name in done]
            means, deviations = ([f(values[name]) for name in done] for f in (np.mean, spread))
            axis.errorbar(x, means, yerr=deviations, fmt="o", color=color, markersize=5, capsize=3, label=line)
            points += zip(x, means, done)
        for name, row in baseline_means(section, results).items():
            place, mean = (row.get(each.removeprefix("test_")) for each in (key, next(iter(study.metrics))))
            if None not in (place, mean):
                axis.plot(place, mean, "o", color=MUTED, fillstyle="none", markersize=5)
                points.append((place, mean, name))
        axis.set(xlabel=axis_name(study, key), ylabel=title)
        if key in ("train_examples", *AXES):
            axis.set_xscale("log")
            axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.xaxis.set_major_formatter(EngFormatter(sep=""))  # 500k, 1M
            axis.minorticks_off()
        else:
            axis.locator_params(axis="x", nbins=5)  # more would touch
        axis.margins(x=0.1)
        axis.grid(alpha=0.3)
    if section.lines:
        axes[0, 0].legend(frameon=False)
    figure.draw_without_rendering()  # the layout, so that names can be measured
    for axis, points in zip(axes[0], named):
        name_points(axis, points)
    return figure


def name_points(axis: Axes, points: list[tuple[float, float, str]]) -> None:
    """Write names beside their points, inside the axes and over no other name or point where there is such a place."""
    taken = [
        Bbox.from_extents(x - 4, y - 4, x + 4, y + 4)
        for x, y in (axis.transData.transform(point[:2]) for point in points)
    ]
    for place, mean, name in points:
        text = axis.annotate(name, (place, mean), (0, 0), textcoords="offset points", size=7, color=INK)
        text.set_in_layout(False)

        def move(offset: tuple[int, int], text=text) -> Bbox:
            text.xyann = offset
            text.set_ha("left" if offset[0] > 0 else "right")
            return text.get_window_extent()

        def faults(offset: tuple[int, int], move=move) -> int:
            box = move(offset)
            inside = all(axis.bbox.contains(*corner) for corner in (box.min, box.max))
            return box.count_overlaps(taken) + (not inside)

        taken.append(move(min(NAME_OFFSETS, key=faults)))


def place_on(key: str, results: dict[str, Any]) -> float:
    """Of a run, on an axis of `AXES`."""
    return results[key] / 60 if key == "train_seconds" else results[key]


def baseline_means(section: Section, results: dict[str, list[dict]]) -> dict[str, dict[str, float]]:
    """Of each metric of each baseline of the first variant's runs, where the section shows them."""
    if not section.baselines:
        return {}
    runs = [run["results"].get("baselines", {}) for run in next(iter(results.values()))]
    return {
        name: {
            key: float(np.mean([run[name][key] for run in runs]))
            for key in row
            if all(run[name].get(key) is not None for run in runs)
        }
        for name, row in runs[0].items()
    }


def plot_history(study: Study, section: Section, results: dict[str, list[dict]]) -> Figure | None:
    """The headline on the validation split against the epoch, from the `history` of the results, a line per variant."""
    if len(results) > len(PALETTE):
        raise ValueError(f"{section.title!r} has {len(results)} variants; a figure has colours for {len(PALETTE)}")
    key, title = next(iter(study.metrics.items()))
    figure, axes = new_figure(1, 1, 5.5, 3.6)
    axis = axes[0, 0]
    for color, (name, runs) in zip(PALETTE, results.items()):
        histories = [run["results"]["history"] for run in runs]
        values = np.array([history[key.removeprefix("test_")] for history in histories])
        plot_with_spread(
            axis, np.array(histories[0]["epoch"]), values.mean(0), [spread(each) for each in values.T], name, color
        )
    axis.set(xlabel="epoch", ylabel=f"{title.removeprefix('test ')} on the validation split", ylim=(0, None))
    axis.legend(frameon=False)
    return figure


def plot_changes(study: Study, section: Section, results: dict[str, list[dict]]) -> Figure | None:
    """How much each variant changed the recall of each class against the section's reference with the same seeds, in points, a row per
    variant; in colour where the 95 % interval of a paired bootstrap does not hold 0. Made of the `examples` of the results."""
    examples = {name: {run["seed"]: run["results"]["examples"] for run in runs} for name, runs in results.items()}
    classes = next((each["classes"] for runs in examples.values() for each in runs.values() if "classes" in each), None)
    before, metric = examples.pop(section.reference, {}), section.compare["by"]
    examples = {name: runs for name, runs in examples.items() if runs.keys() & before.keys()}
    if classes is None or not examples:
        return None
    labels = np.concatenate([each["strata"] for each in before.values()])
    right = np.concatenate([np.array(each["scores"][metric]["model"]) > 0 for each in before.values()])
    recall = {label: 100 * right[labels == label].mean() for label in np.unique(labels)}
    order = sorted(recall, key=recall.get)  # the hardest class first
    rows = [[change_of_class(runs, before, metric, label) for label in order] for runs in examples.values()]
    changes, sure = (
        100 * np.array([[each[0] for each in row] for row in rows]),
        [[each[1] for each in row] for row in rows],
    )
    figure, axes = new_figure(1, 1, 2.5 + 0.55 * len(order), 2.4 + 0.28 * len(rows))
    axis, most = axes[0, 0], max(abs(changes).max(), 1.0)
    axis.imshow(np.where(sure, changes, 0), cmap="RdBu", vmin=-most, vmax=most, aspect="auto")
    axis.set_yticks(range(len(rows)), list(examples))
    ticks = [f"{classes[label]} ({recall[label]:.0f} %)" for label in order]
    axis.set_xticks(range(len(order)), ticks, rotation=40, ha="right")
    for row, column in np.ndindex(changes.shape):
        strong = abs(changes[row, column]) > 0.6 * most
        color = MUTED if not sure[row][column] else "white" if strong else "black"
        axis.text(column, row, f"{changes[row, column]:+.0f}", ha="center", va="center", size=7, color=color)
    axis.set_title(f"change of recall against {section.reference}, in points; gray: it may be chance", size=9)
    return figure


def change_of_class(runs: dict[int, dict], before: dict[int, dict], metric: str, label: int) -> tuple[float, bool]:
    """The change of the recall of a class, -1..1, and whether its interval is without 0; runs by seed."""
    seeds = sorted(runs.keys() & before.keys())
    labels, ids = (np.concatenate([runs[seed][key] for seed in seeds]) for key in ("strata", "ids"))
    ours, theirs = (
        np.concatenate([np.array(each[seed]["scores"][metric]["model"]) > 0 for seed in seeds]).astype(float)
        for each in (runs, before)
    )
    gains, images = (ours - theirs)[labels == label], ids[labels == label]
    if not len(gains):
        return 0.0, False
    low, high = interval(resample(lambda rows: gains[rows].mean(), len(gains), groups=images))
    return float(gains.mean()), bool(low > 0 or high < 0)


def plot_agreement(study: Study, section: Section, results: dict[str, list[dict]]) -> Figure | None:
    """Of the test examples of each class, the shares that all variants get right with the same seeds, some of them, and none: what no variant
    tells is hard, or labelled wrong. Made of the `examples` of the results."""
    examples = [{run["seed"]: run["results"].get("examples", {}) for run in runs} for runs in results.values()]
    seeds = sorted(set.intersection(*map(set, examples)))
    if not seeds or "classes" not in examples[0][seeds[0]]:
        return None
    if any(each[seed].get("ids") != examples[0][seed]["ids"] for each in examples for seed in seeds):
        raise ValueError(f"{study.file}: the variants of {section.title!r} were tested on other examples with one seed")
    classes, metric = examples[0][seeds[0]]["classes"], next(iter(examples[0][seeds[0]]["scores"]))
    labels = np.concatenate([examples[0][seed]["strata"] for seed in seeds])
    rights = [
        np.concatenate([np.array(each[seed]["scores"][metric]["model"]) > 0 for seed in seeds]) for each in examples
    ]
    share = np.mean(rights, 0)
    parts = {"right by all": share == 1, "by some": (share > 0) & (share < 1), "by none": share == 0}
    order = sorted(np.unique(labels), key=lambda label: -parts["by none"][labels == label].mean())
    figure, axes = new_figure(1, 1, 6.5, 1.2 + 0.28 * len(order))
    axis, places, left = axes[0, 0], -np.arange(len(order)), np.zeros(len(order))
    for color, (name, chosen) in zip((PALETTE[2], MUTED, PALETTE[1]), parts.items()):
        widths = np.array([100 * chosen[labels == label].mean() for label in order])
        axis.barh(places, widths, left=left, color=color, height=0.7, label=f"{name}, {chosen.mean():.0%} of all")
        for place, start, width in zip(places, left, widths):
            if width >= 6:
                axis.text(start + width / 2, place, f"{width:.0f}", ha="center", va="center", size=7, color="white")
        left += widths
    axis.set_yticks(places, [f"{classes[label]} ({(labels == label).sum()})" for label in order])
    axis.set(xlim=(0, 100), xlabel=f"test examples of the class, %, by {len(examples)} variants and {len(seeds)} seeds")
    figure.legend(frameon=False, loc="outside upper center", ncols=3)
    return figure


PLOTS = {
    "rows": plot_rows,
    "curve": plot_curve,
    "scatter": plot_scatter,
    "changes": plot_changes,
    "agreement": plot_agreement,
    "history": plot_history,
}
