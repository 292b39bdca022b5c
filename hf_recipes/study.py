"""Studies: variants of a recipe over seeds, each run once, and the page that compares them.

A study is a YAML file beside the recipe's configurations:

    recipe: recipes/cell_counting.py
    title: Simulated cells
    summary: What the study found.
    metrics: {test_mae: test MAE}        # columns, the first is the headline and is plotted
    sections:
      - title: Learning curve
        text: What the section is about.
        seeds: [0, 1, 2]
        plot: curve                      # against `x`; a line per variant by default
        x: train_examples
        published: {FCRN-A, 32 images: 2.9 ± 0.2}   # rows from papers, shown as such: a mean, or a mean and deviation
        options: {train_size: 64}        # for every variant of the section
        variants:
          unet-n8: {config: recipes/cell_counting/unet.yaml, train_size: 8}
          unet-n32:                      # a variant that another section defines

A run's results are kept in `model_cards/results/TASK/VARIANT-sSEED.json` with a digest of its options; a run whose file
is there with the same digest is not run again. The page, `model_cards/TASK.md`, is made of these files only.
"""

import hashlib
import json
import logging
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from .model_card import describe_hardware, format_cell, markdown_table, save_figure

logger = logging.getLogger(__name__)

CARDS, OUTPUTS = Path("model_cards"), Path("outputs/study")
SECTION_KEYS = {"title", "text", "seeds", "plot", "x", "published", "options", "variants", "baselines", "cards"}


@dataclass
class Variant:
    """A configuration and its options, to run with each of the seeds."""

    name: str
    config: Path
    options: dict[str, Any]
    seeds: list[int]

    def digest(self, seed: int) -> str:
        """Of everything that the repository says of a run; where the data lie on this machine is not part of it."""
        options = yaml.safe_load(self.config.read_text()) | self.options | {"seed": seed}
        options = {key: value for key, value in options.items() if not key.startswith(("dataset_", "output_dir"))}
        return hashlib.sha256(json.dumps(options, sort_keys=True).encode()).hexdigest()[:16]


@dataclass
class Section:
    title: str
    variants: list[str]
    text: str = ""
    plot: str = "lines"
    x: str = "train_examples"
    published: dict[str, str] = field(default_factory=dict)
    baselines: bool = False
    cards: list[str] = field(default_factory=list)


@dataclass
class Study:
    file: Path
    recipe: Path
    title: str
    summary: str
    metrics: dict[str, str]
    sections: list[Section]
    variants: dict[str, Variant]

    @property
    def task(self) -> str:
        return self.recipe.stem

    def result_file(self, variant: str, seed: int) -> Path:
        return CARDS / "results" / self.task / f"{variant}-s{seed}.json"

    def results(self, variant: str) -> list[dict[str, Any]]:
        """What the variant's runs measured, by seed; runs of older options are left out."""
        found = []
        for seed in self.variants[variant].seeds:
            result = read_result(self.result_file(variant, seed))
            if result and result["digest"] == self.variants[variant].digest(seed):
                found.append(result)
        return found


def read_result(path: Path) -> dict[str, Any] | None:
    return json.loads(path.read_text()) if path.exists() else None


def load_study(file: Path) -> Study:
    """Raises `ValueError` that names the file and the section."""
    data = yaml.safe_load(file.read_text())
    if not isinstance(data, dict) or not {"recipe", "metrics", "sections"} <= data.keys():
        raise ValueError(f"{file}: a study has the keys recipe, metrics and sections")
    variants, sections = {}, []
    for entry in data["sections"]:
        unknown = entry.keys() - SECTION_KEYS
        if unknown or "title" not in entry or "variants" not in entry:
            raise ValueError(
                f"{file}: a section has title, variants and of {sorted(SECTION_KEYS)}; got {sorted(entry)}"
            )
        for name, options in entry["variants"].items():
            if options is not None:
                options = {**entry.get("options", {}), **options}
                variants[name] = Variant(name, Path(options.pop("config")), options, entry.get("seeds", [0]))
        kept = {key: value for key, value in entry.items() if key not in ("seeds", "options")}
        sections.append(Section(**kept | {"variants": list(entry["variants"])}))
    missing = {name for section in sections for name in section.variants} - variants.keys()
    if missing:
        raise ValueError(f"{file}: no section defines the variants {', '.join(sorted(missing))}")
    title, summary = data.get("title", file.stem), data.get("summary", "")
    return Study(file, Path(data["recipe"]), title, summary, data["metrics"], sections, variants)


def run_study(
    file: Path,
    seeds: list[int] | None = None,
    only: list[str] | None = None,
    passed_on: list[str] | None = None,
    page_only: bool = False,
) -> Study:
    """Run what has no result yet, one run after the other.

    Args:
        file: the study.
        seeds: instead of those in the file.
        only: these variants only.
        passed_on: options for every run that are no part of it, such as `--dataset FOLDER`.
        page_only: run nothing.

    Raises:
        RuntimeError: when a run fails; what is done is kept, and the same command goes on.
    """
    study = load_study(file)
    unknown = set(only or []) - study.variants.keys()
    if unknown:
        raise ValueError(f"{file} has no variant {', '.join(sorted(unknown))}; it has {', '.join(study.variants)}")
    if seeds:
        for variant in study.variants.values():
            variant.seeds = seeds
    chosen = [variant for name, variant in study.variants.items() if not only or name in only]
    todo = [
        (variant, seed)
        for variant in chosen
        for seed in variant.seeds
        if (read_result(study.result_file(variant.name, seed)) or {}).get("digest") != variant.digest(seed)
    ]
    for number, (variant, seed) in enumerate([] if page_only else todo, 1):
        start = time.monotonic()
        result = run_variant(study, variant, seed, passed_on or [])
        headline = next(iter(study.metrics))
        print(
            f"[{number}/{len(todo)}] {variant.name} seed {seed}: {study.metrics[headline]} "
            f"{format_cell(result['results'].get(headline))}, {(time.monotonic() - start) / 60:.1f} minutes",
            flush=True,
        )
    return study


def run_variant(study: Study, variant: Variant, seed: int, passed_on: list[str]) -> dict[str, Any]:
    """Train and test in a process of its own; a run that was interrupted goes on."""
    folder = OUTPUTS / study.task / f"{variant.name}-s{seed}-{variant.digest(seed)[:6]}"
    folder.mkdir(parents=True, exist_ok=True)
    words = [sys.executable, "-m", "accelerate.commands.launch", "--num_processes", "1", study.recipe]
    words += ["--config", variant.config]
    for key, value in {**variant.options, "seed": seed, "output_dir": folder, "disable_tqdm": True}.items():
        words += [f"--{key}", *(value if isinstance(value, list) else [value])]
    log = folder / "log.txt"
    with log.open("a") as output:
        done = subprocess.run([*map(str, words), *passed_on], stdout=output, stderr=subprocess.STDOUT)
    if done.returncode:
        lines = log.read_text().splitlines()
        reason = next(
            (line for line in reversed(lines) if line.startswith(("error:", "recipe", study.recipe.name))), ""
        )
        raise RuntimeError(f"{variant.name} with seed {seed} failed: {reason or 'see the log'} ({log})")
    result = {
        "variant": variant.name,
        "seed": seed,
        "digest": variant.digest(seed),
        "hardware": describe_hardware(device_type()),
        "results": json.loads((folder / "all_results.json").read_text()),
    }
    file = study.result_file(variant.name, seed)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(result, indent=1) + "\n")
    if any(variant.name in section.cards for section in study.sections) and seed == variant.seeds[0]:
        copy_card(folder, CARDS / study.task / variant.name)
    return result


def device_type() -> str:
    import torch

    return torch.accelerator.current_accelerator().type if torch.accelerator.is_available() else "cpu"


def copy_card(folder: Path, target: Path) -> None:
    """The card of a reference run and the figures that it shows."""
    target.mkdir(parents=True, exist_ok=True)
    card = (folder / "README.md").read_text()
    (target / "README.md").write_text(card)
    for figure in folder.glob("*.png"):
        if f"({figure.name})" in card:
            shutil.copy(figure, target / figure.name)


# -- the page -------------------------------------------------------------------------------------
def write_page(studies: list[Study]) -> Path:
    """`model_cards/TASK.md` with a table and a figure for each section that has results."""
    task = studies[0].task
    figures = CARDS / task
    figures.mkdir(parents=True, exist_ok=True)
    hardware: set[str] = set()
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
            figure = figures / f"{study.file.stem}_{number}.png"
            save_figure(plot_section(study, section, results), figure)
            table = markdown_table(section_rows(study, section, results))
            parts.append(
                f"### {section.title}\n\n{section.text.strip()}\n\n{table}\n\n![{section.title}]({task}/{figure.name})\n"
            )
    text = (
        f"# {studies[0].recipe.stem.replace('_', ' ').capitalize()}: the study\n\n"
        "Every number is mean ± standard deviation over the runs of a row, each with another seed, which draws its data, "
        "its weights and its augmentation. The test split is used once a run, by the saved model loaded again, in fp32. "
        f"Minutes are wall clock of the training with its validation. Hardware: {'; '.join(sorted(hardware))}. "
        f"Each run's numbers are in `results/{task}/`.\n\n"
    )
    page = CARDS / f"{task}.md"
    page.write_text(text + "\n".join(parts))
    return page


def section_rows(study: Study, section: Section, results: dict[str, list[dict]]) -> list[dict[str, Any]]:
    """One row per variant; with `baselines`, those of the first variant; then what papers report."""
    rows = []
    for name, runs in results.items():
        row = {"variant": name, "runs": len(runs)}
        row |= {
            title: mean_and_deviation([run["results"].get(key) for run in runs]) for key, title in study.metrics.items()
        }
        row["parameters"] = runs[0]["results"]["parameters"]
        row["training images"] = runs[0]["results"]["train_examples"]
        row["minutes"] = mean_and_deviation([run["results"]["train_seconds"] / 60 for run in runs])
        rows.append(row)
    if section.baselines:
        runs = next(iter(results.values()))
        for name in runs[0]["results"].get("baselines", {}):
            row = dict.fromkeys(rows[0]) | {"variant": f"*baseline:* {name}", "runs": len(runs)}
            row["training images"] = runs[0]["results"]["train_examples"]
            for key, title in study.metrics.items():
                values = [run["results"]["baselines"][name].get(key.removeprefix("test_")) for run in runs]
                row[title] = mean_and_deviation(values) if key.startswith("test_") else None
            rows.append(row)
    headline = next(iter(study.metrics.values()))
    for name, value in section.published.items():
        rows.append(dict.fromkeys(rows[0]) | {"variant": f"*published:* {name}", headline: str(value)})
    return rows


def mean_and_deviation(values: list[float | None]) -> str | None:
    values = [value for value in values if value is not None]
    if not values:
        return None
    if len(values) == 1:
        return format_cell(float(values[0]))
    mean, deviation = np.mean(values), np.std(values, ddof=1)
    digits = max(0, 1 - int(np.floor(np.log10(deviation)))) if deviation > 0 else 2
    return f"{mean:.{min(digits, 3)}f} ± {deviation:.{min(digits, 3)}f}"


def plot_section(study: Study, section: Section, results: dict[str, list[dict]]):
    """Means with standard deviations and every run as a dot: a line per variant, or a curve against `x`."""
    from .figures import ACCENT, INK, MUTED, new_figure, plot_with_spread

    key, title = next(iter(study.metrics.items()))
    values = {name: np.array([run["results"][key] for run in runs]) for name, runs in results.items()}
    means = np.array([each.mean() for each in values.values()])
    spread = np.array([each.std(ddof=1) if len(each) > 1 else 0 for each in values.values()])
    if section.plot == "curve":
        figure, axes = new_figure(1, 1, 5.5, 3.6)
        x = np.array([runs[0]["results"][section.x] for runs in results.values()])
        order = np.argsort(x)
        plot_with_spread(axes[0, 0], x[order], means[order], spread[order])
        for place, each in zip(x, values.values()):
            axes[0, 0].scatter([place] * len(each), each, s=9, color=MUTED, zorder=3)
        axes[0, 0].set(xscale="log", xlabel=section.x.replace("_", " "), ylabel=title)
        axes[0, 0].set_xticks(x, [str(each) for each in x], minor=False)
        axes[0, 0].minorticks_off()
        return figure
    published = {name: [float(part) for part in str(text).split("±")] for name, text in section.published.items()}
    figure, axes = new_figure(1, 1, 7.5, 0.9 + 0.3 * (len(values) + len(published)))
    axis, places = axes[0, 0], -np.arange(len(values) + len(published))
    axis.errorbar(means, places[: len(values)], xerr=spread, fmt="D", color=ACCENT, markersize=5, capsize=3)
    for place, each in zip(places, values.values()):
        axis.scatter(each, [place] * len(each), s=10, color=INK, alpha=0.6, zorder=3, linewidths=0)
    for place, (mean, *deviation) in zip(places[len(values) :], published.values()):
        axis.errorbar(mean, place, xerr=deviation or None, fmt="D", color=MUTED, markersize=4, capsize=3)
    axis.set_yticks(places, [*values, *(f"{name}*" for name in published)])
    axis.set_xlabel(title + (" (* published)" if published else ""))
    axis.grid(axis="x", alpha=0.3)
    return figure
