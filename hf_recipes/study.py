"""Studies: variants of a recipe over seeds, each run once, and the page that compares them.

A study is a YAML file beside the recipe's configurations:

    recipe: recipes/cell_counting.py
    title: Simulated cells
    summary: What the study found.
    metrics: {test_mae: test MAE}        # columns, the first is the headline and is plotted
    unit: images                         # what it is trained on
    page: Cell counting                  # title of the page; that of the recipe by default
    task: cell_counting                  # whose page it is on; the recipe's by default
    sections:
      - title: Learning curve
        text: What the section is about.
        seeds: [0, 1, 2]                 # of each variant that has no `seeds` of its own
        plot: curve                      # or scatter, each against `x`, changes, agreement, or history by epoch; a row per variant by default
        x: train_examples                # of the results; scatter takes a list and draws a panel for each
        lines: {U-Net: [unet-n8, unet-n32]}         # of the curve, or colours of the scatter; all variants by default
        also: train_mae                  # another of the metrics, drawn hollow beside the headline of each row
        reference: unet-n32              # with `plot: changes`, a map of what each variant changed in each class (by the `examples` of the results)
                                         # `plot: agreement` shows which examples of each class all, some or none of the variants get right
        compare: {by: mae, pairs: [[unet-n8, unet-n32], [unet-n8, ridge on intensities]]}  # by the `examples` of the results; two
                                         # variants, or baselines of the section's runs
        baselines: true                  # rows of the baselines that the first variant's runs measured; `untrained` where they saw no training data
        published: {FCRN-A, 32 images: 2.9 ± 0.2}   # rows from papers, shown as such: a mean, or a mean and deviation, of the headline,
                                         # or several: {VDSR: {test_psnr: 31.35, test_ssim: 0.8838}}
        options: {train_size: 64}        # for every variant of the section
        variants:
          unet-n8: {config: recipes/cell_counting/unet.yaml, train_size: 8}
          unet-n32:                      # a variant that another section defines
          tuned: {config: recipes/cell_counting/unet.yaml, start_from: "variant:unet-n32"}  # the folder of its run with the same seed, or,
                                         # where it has fewer seeds, with one of them in turn

A run's results are kept in `model_cards/results/TASK/VARIANT-sSEED.json` with a digest of its options; a run whose file
is there with the same digest is not run again. The page, `model_cards/TASK.md`, is made of these files only (see `study_page`).
"""

import hashlib
import json
import logging
import re
import shutil
import time
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import yaml

from .arguments import CARD_OPTIONS
from .checkpoints import read_json, write_json
from .model_card import format_cell
from .processes import run_file
from .study_figures import PLOTS

logger = logging.getLogger(__name__)

CARDS, OUTPUTS = Path("model_cards"), Path("outputs/study")
SOURCE = "variant:"  # what an option begins with whose value is the run of another variant
COPY = "*A copy of the card of one run of the study; the weights are not here, and its last sections say how to train them.*"


@dataclass
class Variant:
    """A configuration and its options, to run with each of the seeds."""

    name: str
    config: Path
    options: dict[str, Any]
    seeds: list[int]
    sources: dict[str, "Variant"] = field(default_factory=dict)  # by option: the variants whose runs it goes on from

    def digest(self, seed: int) -> str:
        """Of everything that the repository says of a run; where the data lie on this machine is not part of it."""
        options = yaml.safe_load(self.config.read_text()) | self.options | {"seed": seed}
        options = {key: value for key, value in options.items() if key not in (*CARD_OPTIONS, "output_dir")}
        options |= {key: source.digest(source.seed_for(seed)) for key, source in self.sources.items()}
        return hashlib.sha256(json.dumps(options, sort_keys=True).encode()).hexdigest()[:16]

    def seed_for(self, seed: int) -> int:
        """Of the run that a run with this seed goes on from."""
        return seed if seed in self.seeds else self.seeds[seed % len(self.seeds)]


@dataclass
class Section:
    title: str
    variants: list[str]
    text: str = ""
    plot: str = "rows"
    x: str | list[str] = "train_examples"
    lines: dict[str, list[str]] = field(default_factory=dict)
    also: str | None = None
    reference: str | None = None
    compare: dict[str, Any] = field(default_factory=dict)
    published: dict[str, dict[str, str]] = field(default_factory=dict)  # by row and metric
    baselines: bool | Literal["untrained"] = False
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
    unit: str = "images"
    page: str = ""
    task: str = ""

    def folder(self, variant: Variant, seed: int) -> Path:
        """Of a run on this machine."""
        return OUTPUTS / self.task / f"{variant.name}-s{seed}-{variant.digest(seed)[:6]}"

    def result_file(self, variant: str, seed: int) -> Path:
        return CARDS / "results" / self.task / f"{variant}-s{seed}.json"

    def results(self, variant: str) -> list[dict[str, Any]]:
        """What the variant's runs measured, by seed; runs of older options are left out."""
        found = []
        for seed in self.variants[variant].seeds:
            result = read_json(self.result_file(variant, seed))
            if result and result["digest"] == self.variants[variant].digest(seed):
                found.append(result)
        return found


def load_study(file: Path) -> Study:
    """Raises `ValueError` that names the file and the section."""
    data = yaml.safe_load(file.read_text())
    if not isinstance(data, dict) or not {"recipe", "metrics", "sections"} <= data.keys():
        raise ValueError(f"{file}: a study has the keys recipe, metrics and sections")
    variants, sections, section_keys = {}, [], {each.name for each in fields(Section)} | {"seeds", "options"}
    for entry in data["sections"]:
        unknown = entry.keys() - section_keys
        if unknown or "title" not in entry or "variants" not in entry:
            raise ValueError(
                f"{file}: a section has title, variants and of {sorted(section_keys)}; got {sorted(entry)}"
            )
        for name, options in entry["variants"].items():
            if options is not None:
                options = {**entry.get("options", {}), **options}
                if "config" not in options:
                    raise ValueError(
                        f"{file}: the variant {name} has no config, and its section has none in its options"
                    )
                if None in options.values():
                    raise ValueError(f"{file}: an option of the variant {name} is null; leave it out for its default")
                if name in variants:
                    raise ValueError(f"{file}: two sections define the variant {name}; let one of them name it alone")
                seeds = options.pop("seeds", entry.get("seeds", [0]))
                variants[name] = Variant(name, Path(options.pop("config")), options, seeds)
        kept = {key: value for key, value in entry.items() if key not in ("seeds", "options")}
        published = published_rows(file, entry.get("published", {}), data["metrics"])
        sections.append(Section(**kept | {"variants": list(entry["variants"]), "published": published}))
    named = [each for section in sections for each in (section.variants, *section.lines.values())]
    for section in sections:
        if section.reference and section.reference not in section.variants:
            raise ValueError(f"{file}: the reference {section.reference} is no variant of {section.title!r}")
        if section.plot not in PLOTS:
            raise ValueError(f"{file}: the plot {section.plot!r} of {section.title!r} is none of {', '.join(PLOTS)}")
        if section.baselines not in (True, False, "untrained"):
            raise ValueError(
                f"{file}: the baselines of {section.title!r} are {section.baselines!r}; they are true, false or untrained"
            )
        strangers = set(section.cards) - set(section.variants)
        if strangers:
            raise ValueError(f"{file}: the cards {', '.join(sorted(strangers))} are no variants of {section.title!r}")
    named += [[value.removeprefix(SOURCE)] for each in variants.values() for value in source_options(each).values()]
    missing = {name for names in named for name in names} - variants.keys()
    if missing:
        raise ValueError(f"{file}: no section defines the variants {', '.join(sorted(missing))}")
    for variant in variants.values():
        for key, value in source_options(variant).items():
            variant.sources[key] = variants[value.removeprefix(SOURCE)]
            del variant.options[key]
    for variant in variants.values():
        check_sources(file, variant, [])
    title, summary = data.get("title", file.stem), data.get("summary", "")
    recipe, unit = Path(data["recipe"]), data.get("unit", "images")
    page = data.get("page", recipe.stem.replace("_", " ").capitalize())
    task = data.get("task", recipe.stem)
    return Study(file, recipe, title, summary, data["metrics"], sections, variants, unit, page, task)


def published_rows(file: Path, rows: dict[str, Any], metrics: dict[str, str]) -> dict[str, dict[str, str]]:
    """By row and metric; what is not said of a metric is of the headline.

    Raises:
        ValueError: for a metric that the study has not.
    """
    headline = next(iter(metrics))
    rows = {name: row if isinstance(row, dict) else {headline: row} for name, row in rows.items()}
    for name, row in rows.items():
        if row.keys() - metrics.keys():
            raise ValueError(f"{file}: {name!r} is published with {', '.join(row)}; metrics are {', '.join(metrics)}")
    return {name: {key: str(value) for key, value in row.items()} for name, row in rows.items()}


def source_options(variant: Variant) -> dict[str, str]:
    return {key: value for key, value in variant.options.items() if str(value).startswith(SOURCE)}


def check_sources(file: Path, variant: Variant, after: list[str]) -> None:
    """Raises a `ValueError` where a variant would go on from itself."""
    if variant.name in after:
        raise ValueError(f"{file}: the variants {', '.join(after)} go on from each other")
    for source in variant.sources.values():
        check_sources(file, source, [*after, variant.name])


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
        seeds: of those in the file, these only.
        only: these variants only.
        passed_on: options for every run that say where its data lie, as `--dataset FOLDER`, or how it is shown.
        page_only: run nothing.

    Raises:
        ValueError: for a variant or a seed that the study has not, and for options that would change what a run measures.
        RuntimeError: when a run fails; what is done is kept, and the same command goes on.
    """
    study = load_study(file)
    unknown = set(only or []) - study.variants.keys()
    if unknown:
        raise ValueError(f"{file} has no variant {', '.join(sorted(unknown))}; it has {', '.join(study.variants)}")
    missing = set(seeds or []) - {seed for variant in study.variants.values() for seed in variant.seeds}
    if missing:
        raise ValueError(f"{file} has no variant with seed {', '.join(map(str, sorted(missing)))}")
    check_passed_on(passed_on or [])
    chosen = [variant for name, variant in study.variants.items() if not only or name in only]
    todo = [
        (variant, seed)
        for variant in chosen
        for seed in variant.seeds
        if not seeds or seed in seeds
        if (read_json(study.result_file(variant.name, seed)) or {}).get("digest") != variant.digest(seed)
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


def check_passed_on(options: list[str]) -> None:
    """Results are filed by what the study says of a run, so nothing else may change them."""
    from .run import OUTWARD

    for option in options:
        name = option.removeprefix("--").split("=")[0]
        harmless = name in ("dataset", *CARD_OPTIONS) or (name.startswith(OUTWARD) and name != "output_dir")
        if option.startswith("--") and not harmless:
            raise ValueError(
                f"{option} would change what the study measures; make it a variant or an option in its file"
            )


def run_variant(study: Study, variant: Variant, seed: int, passed_on: list[str]) -> dict[str, Any]:
    """Train and test in a process of its own; a run that was interrupted goes on. Runs that it starts from and whose folders are not
    on this machine are run first."""
    folder, starts = study.folder(variant, seed), {}
    for key, source in variant.sources.items():
        source_seed = source.seed_for(seed)
        starts[key] = study.folder(source, source_seed)
        if not (starts[key] / "all_results.json").exists():
            print(
                f"{variant.name} goes on from {source.name} seed {source_seed}, whose folder is not here: it is run first",
                flush=True,
            )
            run_variant(study, source, source_seed, passed_on)
    folder.mkdir(parents=True, exist_ok=True)
    words = ["--config", variant.config]
    for key, value in {**variant.options, **starts, "seed": seed, "output_dir": folder, "disable_tqdm": True}.items():
        words += [f"--{key}", *(value if isinstance(value, list) else [value])]
    log = folder / "log.txt"
    before = log.stat().st_size if log.exists() else 0  # of earlier tries
    began = time.monotonic()
    code = run_file(study.recipe, [*map(str, words), *passed_on], log)
    if code:
        lines = log.read_bytes()[before:].decode(errors="replace").splitlines()
        starts = ("error:", "recipe", study.recipe.name)
        reason = next((line for line in reversed(lines) if line.startswith(starts)), f"it ended with code {code}")
        raise RuntimeError(f"{variant.name} with seed {seed} failed: {reason} ({log})")
    results = json.loads((folder / "all_results.json").read_text())
    result = {
        "variant": variant.name,
        "seed": seed,
        "digest": variant.digest(seed),
        "hardware": results.pop("hardware", "hardware unknown"),
        # of all, the test and what is made of it too; not known of a run that was interrupted
        "seconds": None if before else round(time.monotonic() - began, 1),
        "results": results,
    }
    for checkpoint in folder.glob("checkpoint-*"):  # studies have many runs, and a finished one needs none
        shutil.rmtree(checkpoint)
    file = study.result_file(variant.name, seed)
    if (read_json(file) or {}).get("digest") == variant.digest(seed):
        return result  # it was run for another one's sake; the committed numbers stay
    if any(variant.name in section.cards for section in study.sections) and seed == variant.seeds[0]:
        copy_card(folder, CARDS / study.task / variant.name)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json(file, result)  # last: it says that the run is done
    return result


def copy_card(folder: Path, target: Path) -> None:
    """The card of a reference run and the figures that it shows."""
    target.mkdir(parents=True, exist_ok=True)
    card = (folder / "README.md").read_text()
    # after the front matter and the title
    card = re.sub(r"(?m)^(# .*)$", rf"\1\n\n{COPY}", card, count=1)
    (target / "README.md").write_text(card)
    for figure in folder.glob("*.png"):
        if f"({figure.name})" in card:
            shutil.copy(figure, target / figure.name)
