"""Model cards: what the task says, what the run measured, and the one template that shows both."""

import json
import os
import platform
import re
from dataclasses import dataclass, field
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData
from PIL import Image

from .checkpoints import read_json, write_json
from .loading import hub_revision

if TYPE_CHECKING:
    import torch

    from .arguments import DatasetArguments
    from .training import RecipeTrainer

TEMPLATE = Path(__file__).with_name("model_card_template.md")
RUN_FILE = "_card.json"  # what the card of a run is made of, in its folder
UNNAMED = "YOUR_NAME/YOUR_MODEL"  # the model's id in a card until it is pushed
BUILT_IN = ("synthetic", "")  # data sets that a recipe makes itself, and none
LIBRARIES = ("transformers", "datasets", "accelerate", "torch", "numpy")


@dataclass
class CardInfo:
    """What a task and its data say in the card; the numbers come from the run.

    Args:
        title: of the card.
        summary: what the model does and how, in a paragraph.
        pipeline_task: task of `pipeline(...)`; also the task of the results in the metadata.
        auto_class: the Auto class that loads the model.
        metrics: key of a test metric -> its name in tables; the first is the headline. Only these are published.
        snippet: Python code that uses the model; `{model_id}` stands for its id.
        dataset_name, dataset_url, dataset_license: of the data set, as the public knows it.
        dataset_id: its id on the Hub, if it has one that is not private to a machine.
        dataset_revision: its commit on the Hub; found by the training data where they are mapped from it.
        tested_on: what the test was, where it was not the data set's own test split.
        measured_on: key of a test metric -> the data set that it was measured on, where that is another one.
        recipe: path of the recipe in the project.
        limitations: what the model cannot do, in sentences.
        citation: of the method, BibTeX or plain.
        license: of the weights.
        pipeline_tag: the Hub's own category, where it has one for the task.
        library_name: of what loads the model.
        base_model: id of the model that was fine-tuned.
        show_images: whether images of the data may be published with the card.
    """

    title: str
    summary: str
    pipeline_task: str
    auto_class: str
    metrics: dict[str, str]
    snippet: str
    dataset_name: str
    dataset_url: str
    dataset_license: str
    recipe: str
    limitations: list[str]
    citation: str
    dataset_id: str | None = None
    dataset_revision: str | None = None
    tested_on: str | None = None
    measured_on: dict[str, str] = field(default_factory=dict)
    license: str = "apache-2.0"
    pipeline_tag: str | None = None
    library_name: str = "transformers"
    base_model: str | None = None
    tags: list[str] = field(default_factory=list)
    show_images: bool = True


def describe_data(recipe: "DatasetArguments", known: dict[str, tuple[str, str, str]]) -> dict[str, str | None]:
    """The fields `dataset_*`, `license` and `show_images` of a `CardInfo`: what the command line says, else what is known, else what the id tells.

    Args:
        recipe: the recipe's arguments.
        known: last part of a folder or id -> name, source and licence of data that the public knows by another name.
    """
    last = recipe.dataset.rstrip("/").split("/")[-1]
    owned = recipe.dataset.count("/") == 1 or ("/" not in recipe.dataset and last not in (*known, *BUILT_IN))
    public = owned and not Path(recipe.dataset).exists()
    public = public and not recipe.dataset.startswith(("local/", ".", "/", "~"))
    name, url, license = known.get(last, (last, "its page on the Hub" if public else "private", "unknown"))
    return {
        "dataset_name": recipe.dataset_name or name,
        "dataset_url": recipe.dataset_url or url,
        "dataset_license": recipe.dataset_license or license,
        "dataset_id": recipe.dataset if public else None,
        "license": recipe.model_license,
        "show_images": recipe.card_images,
    }


@dataclass
class Section:
    """A part of a report: text, a table (rows of equal keys) and a figure (matplotlib or PIL), each if there is one; and whether the figure
    shows examples of the data, which not everybody may see."""

    title: str
    text: str = ""
    table: list[dict[str, Any]] = field(default_factory=list)
    figure: Any = None
    shows_data: bool = False

    @property
    def file(self) -> str:
        return "".join(letter if letter.isalnum() else "_" for letter in self.title.lower()) + ".png"


@dataclass
class Report:
    """What an analysis found. `baselines` are named rows of the same metrics as the model's; `measured` are numbers that
    go to the results beside the test's; `picture` is shown at the top of the card; `images` are further pictures by file
    name, pushed beside the model."""

    sections: list[Section] = field(default_factory=list)
    baselines: dict[str, dict[str, float]] = field(default_factory=dict)
    measured: dict[str, float] = field(default_factory=dict)
    picture: Any = None
    images: dict[str, Any] = field(default_factory=dict)
    results: dict[str, Any] = field(default_factory=dict)


def write_card(trainer: "RecipeTrainer", folder: Path) -> None:
    """Write `README.md` and its figures: with the test's results once there are any, with the training so far before."""
    info, report = trainer.card, trainer.report
    save_figures(report, folder, info.show_images)
    run = describe_run(trainer)
    if report.results:
        write_json(folder / RUN_FILE, run)
    recipe = folder / "recipe.yaml"
    render_card(info, run, folder, recipe if recipe.exists() else Path(trainer.args.output_dir) / "recipe.yaml")


def read_facts(folder: Path) -> dict[str, Any]:
    """What `describe_run` said of a finished run.

    Raises:
        FileNotFoundError: when the folder does not hold it, as one that was pulled from the Hub.
    """
    run = read_json(folder / RUN_FILE)
    if run is None:
        raise FileNotFoundError(
            f"{folder} does not hold {RUN_FILE}, of which its card is made: edit its README.md, and leave the options out that say what the "
            "card says"
        )
    return run


def rewrite_card(info: CardInfo, run: dict[str, Any], folder: Path) -> None:
    """Write the card of a finished run again, with what is said now of its data and licences, and show or hide its images of the data.

    Args:
        info: what is said now.
        run: of `read_facts`.
        folder: of the run.
    """
    for name in run["shown"]:
        there, wanted = (folder / f"{mark}{name}" for mark in (("_", "") if info.show_images else ("", "_")))
        if there.exists():
            there.replace(wanted)
    render_card(info, run, folder, folder / "recipe.yaml")


def describe_run(trainer: "RecipeTrainer") -> dict[str, Any]:
    """All that a card tells of a run, but what its `CardInfo` says, as JSON."""
    info, report = trainer.card, trainer.report
    training = of_training(trainer) | report.results  # a run that is tested again was trained by another process
    sections = [
        {
            "title": each.title,
            "text": each.text,
            "table": each.table,
            "file": each.file if each.figure is not None else None,
            "shows_data": each.shows_data,
        }
        for each in report.sections
    ]
    run = {
        "results": {name: value for name, value in report.results.items() if name != "examples"},
        "baselines": report.baselines,
        "sections": sections,
        "has_picture": report.picture is not None,
        "shown": [
            *(each["file"] for each in sections if each["file"] and each["shows_data"]),
            *(["picture.png"] if report.picture is not None else []),
            *report.images,
        ],
        "revision": info.dataset_revision or hub_revision(trainer.train_dataset),
        "epochs": training_log(trainer, report.results.get("chosen_step")),
        "parameters": sum(parameter.numel() for parameter in trainer.model.parameters()),
        "size": sum(each.numel() * each.element_size() for each in trainer.model.state_dict().values()) / 1e6,
        "seconds": training["train_seconds"],
        "precision": training["precision"],
        "processes": training["processes"],
        "hardware": training["hardware"],
        "versions": ", ".join(f"{name} {version(name)}" for name in LIBRARIES),
    }
    return json.loads(json.dumps(run, default=float))


def render_card(info: CardInfo, run: dict[str, Any], folder: Path, recipe: Path) -> None:
    """Write `README.md` from what a task says and from what `describe_run` says."""
    results = run["results"]
    measured = {key: name for key, name in info.metrics.items() if f"test_{key}" in results}
    revision = run["revision"] if info.dataset_id else None
    data = ModelCardData(
        library_name=info.library_name,
        license=info.license,
        pipeline_tag=info.pipeline_tag,
        base_model=info.base_model,
        datasets=info.dataset_id,
        metrics=list(info.metrics),
        tags=["hf-recipes", info.pipeline_task, *info.tags],
        model_name=info.title,
        eval_results=[
            EvalResult(
                task_type=info.pipeline_task,
                **describe_test(info, key, revision),
                metric_type=key,
                metric_name=name,
                metric_value=results[f"test_{key}"],
            )
            for key, name in measured.items()
        ]
        or None,
    )
    if not data.eval_results:
        data.model_name = None  # huggingface_hub wants results for a named model
    rows = [{"": "this model", **{name: results[f"test_{key}"] for key, name in measured.items()}}]
    for baseline, values in run["baselines"].items():
        rows.append({"": baseline, **{name: values.get(key) for key, name in measured.items()}})
    card = ModelCard.from_template(
        data,
        template_path=str(TEMPLATE),
        info=info,
        model_id=UNNAMED,
        snippet=make_snippet(info),
        results_table=markdown_table(rows) if measured else "",
        markdown_table=markdown_table,
        recipe=recipe.read_text().strip() if recipe.exists() else "",
        **run | {"has_picture": run["has_picture"] and info.show_images, "epochs": markdown_table(run["epochs"])},
    )
    part = folder / "README.md.tmp"
    part.write_text(str(card))
    os.replace(part, folder / "README.md")


def make_snippet(info: CardInfo) -> str:
    """The code of the card; where `example.png` is not published, it takes an image of the reader's own."""
    lines = info.snippet.format(model_id=UNNAMED).strip().splitlines()
    if info.show_images:
        return "\n".join(lines)
    lines = [line for line in lines if "import hf_hub_download" not in line]
    return "\n".join('image = "image.png"  # one of your own' if "example.png" in line else line for line in lines)


def describe_test(info: CardInfo, key: str, revision: str | None) -> dict[str, str | None]:
    """The fields `dataset_*` of an `EvalResult`."""
    if key in info.measured_on:
        name = info.measured_on[key]
        return {"dataset_type": slug(name), "dataset_name": name, "dataset_split": "test"}
    return {
        "dataset_type": info.dataset_id or slug(info.dataset_name),
        "dataset_name": info.dataset_name,
        "dataset_split": None if info.tested_on else "test",
        "dataset_revision": revision,
    }


def slug(name: str) -> str:
    return re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")


def named_card(file: Path, model_id: str) -> bytes:
    """The card of a run with the id that it is published under; the file itself keeps a placeholder."""
    return file.read_text().replace(UNNAMED, model_id).encode()


def save_figures(report: Report, folder: Path, show_images: bool = True) -> None:
    """Images of the data get names that are not published (`_*`) where they are not to be shown."""
    of_data = {section.file: section.figure for section in report.sections if section.shows_data} | report.images
    of_data |= {"picture.png": report.picture}
    plots = {section.file: section.figure for section in report.sections if not section.shows_data}
    mark, other = ("", "_") if show_images else ("_", "")
    for name, figure in of_data.items():
        (folder / f"{other}{name}").unlink(missing_ok=True)  # of a run that was killed before its card was written
        plots[f"{mark}{name}"] = figure
    for name, figure in plots.items():
        if figure is not None:
            save_figure(figure, folder / name)


def save_figure(figure: Any, path: Path) -> None:
    """A PIL image as it is, or a matplotlib figure in 256 colours, a third of the size of millions of them."""
    if isinstance(figure, Image.Image):
        figure.save(path)
        return
    drawn = BytesIO()
    figure.savefig(drawn, format="png", dpi=110)
    Image.open(drawn).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def training_log(trainer: "RecipeTrainer", chosen: int | None, most: int = 25) -> list[dict[str, Any]]:
    """Rows of step, loss and validation metrics, at most `most` of them, the one whose weights are saved among them and marked."""
    rows: dict[int, dict[str, Any]] = {}
    for entry in trainer.state.log_history:
        row = rows.setdefault(entry["step"], {"step": str(entry["step"]), "epoch": round(entry.get("epoch", 0), 1)})
        if "loss" in entry:
            row["training loss"] = entry["loss"]
        for key, name in {"loss": "validation loss", **trainer.card.metrics}.items():
            if f"eval_{key}" in entry:
                row[name] = entry[f"eval_{key}"]
    steps = [step for step, row in rows.items() if len(row) > 2]
    kept = set(steps[:: -(-len(steps) // most)] if steps else []) | {chosen} | set(steps[-1:])
    keys = list(dict.fromkeys(key for step in steps for key in rows[step]))
    same = [all(rows[step].get(key) == rows[step].get("validation loss") for step in steps) for key in keys]
    if "validation loss" in keys and sum(same) > 1:
        keys.remove("validation loss")  # it stands there as a metric already
    table = [{key: rows[step].get(key) for key in keys} for step in steps if step in kept]
    for row in table:
        if row["step"] == str(chosen):
            row["step"] = f"**{chosen}** (saved)"
    return table


def markdown_table(rows: list[dict[str, Any]]) -> str:
    """Rows of equal keys as Markdown; numbers with four significant digits, an empty cell for None, bars escaped."""
    if not rows:
        return ""
    keys = list(rows[0])
    lines = [keys, ["---" if isinstance(rows[0][key], str) else "---:" for key in keys]]
    lines += [[format_cell(row.get(key)) for key in keys] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def format_cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e4 or value != value else f"{value:,.0f}"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) < 1e9 else f"{value / 1e9:.4g} billion"
    return " ".join(str(value).split()).replace("|", "\\|")


def of_training(trainer: "RecipeTrainer") -> dict[str, Any]:
    """What is known of a training beside its log, by its keys in the results, in the process that trains."""
    return {
        "train_seconds": round(trainer.clock.seconds, 1),
        "precision": trainer.args.trained_precision,
        "processes": trainer.args.world_size,
        "hardware": describe_hardware(trainer.args.device),
    }


def describe_hardware(device: "torch.device") -> str:
    """What a process computes on."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    name = torch.cpu.get_capabilities().get("cpu_name") or platform.processor() or platform.machine()
    if device.type != "cpu":
        return f"{device.type} ({name.strip()})"
    return f"{torch.get_num_threads()} CPU threads ({name.strip()})"
