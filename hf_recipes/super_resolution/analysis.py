"""What a super-resolution network gains over interpolation, and where: tables and figures for its card."""

import hashlib
import itertools
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset, Features, Value
from PIL import Image, ImageDraw
from torch.utils.flop_counter import FlopCounterMode

from ..figures import INK, MUTED, PALETTE, new_figure
from ..loading import code_digest
from ..model_card import Report, Section
from .data import to_arrays, to_tensor
from .metrics import METRICS, PUBLISHED_BICUBIC, judge, to_images
from .modeling_super_resolver import SuperResolver
from .resize import resize_bicubic, resize_lanczos
from .vgg import MOST_SIDE, Lpips

CODE = code_digest(Path(__file__).parent)
NAMES = {"set5": "Set5", "set14": "Set14", "bsd100": "B100"}  # as papers write them
CROP, ZOOM = 48, 4  # pixels of a detail's side, and how many times as large they are shown
OURS, BEFORE = "this model", "the network before"
MOST_DEVIATION = 0.1  # dB of bicubic interpolation from its published row


def analyse(
    trainer,
    predictions,
    validation: Dataset,
    test: Dataset,
    lpips: Lpips | None = None,
    before: SuperResolver | None = None,
) -> Report:
    """The report of a test.

    Args:
        trainer: holds the reloaded model.
        predictions: of `trainer.predict(test)`; what it measured is in the results already.
        validation, test: decoded images.
        lpips: measures the perceptual distance as well, where given.
        before: the network that this one went on from, whose images are compared with its own; else they are with interpolated ones.
    """
    model = trainer.model
    scale = model.config.scale
    networks = {OURS: model} | ({BEFORE: before} if before is not None else {})
    reference = BEFORE if before is not None else "bicubic"
    rows = [measure_image(row, scale, networks, reference, lpips) for row in with_interpolations(test, scale, lpips)]
    best, worst = (
        [(place, rows[place][kind][1]) for place in sorted(range(len(rows)), key=lambda n: -rows[n][kind][0])]
        for kind in ("best", "worst")
    )
    methods = {"bicubic": lambda low: resize_bicubic(low, scale)}
    methods |= {name: partial(enlarge, network) for name, network in reversed(networks.items())}
    by_features = before is not None and lpips is not None
    report = Report(
        baselines={name: means_by_source(rows, name) for name in rows[0]["metrics"] if name != OURS},
        measured={
            **{f"test_{key}": value for key, value in means_by_source(rows, OURS).items() if "lpips" in key},
            **({"eval_lpips": mean_lpips(model, validation, lpips)} if lpips else {}),  # to choose a loss by
            "multiply_adds": count_multiply_adds(model),
            "receptive_field": 2 * model.reach + 1,
            "seconds_a_megapixel": time_megapixel(model),
            "examples": scores_by_image(rows),
        },
    )
    report.sections = [
        Section("By benchmark", describe_protocol(scale, rows, lpips), table_by_source(rows)),
        Section(
            "Gain over bicubic interpolation",
            "Of each test image, in dB of the luminance.",
            figure=plot_gains(rows),
        ),
        Section(
            "Where it gains",
            f"The test images whose LPIPS falls most against {reference}, at the detail with {reference}'s largest squared error."
            if by_features
            else f"The details of the test images whose squared error falls most against {reference}, one of an image.",
            figure=show_details(test, scale, methods, best[:3]),
            shows_data=True,
        ),
        Section(
            "Where it loses",
            f"The details whose squared error falls least against {reference}, or grows most, one of an image.",
            figure=show_details(test, scale, methods, worst[:3]),
            shows_data=True,
        ),
    ]
    low, _ = to_arrays(test[0], scale)
    report.images["example.png"] = Image.fromarray(low)
    middle = len(best) // 2
    report.picture = show_details(test, scale, methods, best[middle : middle + 1])
    return report


def enlarge(model: SuperResolver, low: np.ndarray) -> np.ndarray:
    """uint8 `(height, width, 3)`, whole."""
    with torch.no_grad():
        pixel_values = to_tensor(low)[None].to(model.device)
        return to_images(model(pixel_values).reconstruction)[0]


def with_interpolations(test: Dataset, scale: int, lpips: Lpips | None) -> Dataset:
    """The rows with the metrics of interpolations, by name. They are the same in every run, and cached."""
    judge_of_features = lpips.digest() if lpips is not None else ""
    fingerprint = hashlib.sha256(f"{test._fingerprint} {scale} {judge_of_features} {CODE}".encode()).hexdigest()[:16]
    numbers = {name: Value("float64") for name in (*METRICS, *(["lpips"] if lpips is not None else []))}
    return test.map(
        partial(measure_interpolations, scale=scale, lpips=lpips),
        features=Features({**test.features, "interpolations": dict.fromkeys(("bicubic", "Lanczos"), numbers)}),
        new_fingerprint=fingerprint,
        desc="Interpolation",
    )


def measure_interpolations(row: dict[str, Any], scale: int, lpips: Lpips | None) -> dict[str, Any]:
    low, high = to_arrays(row, scale)
    images = {"bicubic": resize_bicubic(low, scale), "Lanczos": resize_lanczos(low, scale)}
    return {"interpolations": measure_all(images, high, scale, lpips)}


def measure_all(
    images: dict[str, np.ndarray], high: np.ndarray, scale: int, lpips: Lpips | None
) -> dict[str, dict[str, float]]:
    metrics = {name: judge(image, high, scale) for name, image in images.items()}
    if lpips is not None:
        distances = lpips([to_tensor(image) for image in images.values()], to_tensor(high))
        for name, distance in zip(images, distances):
            metrics[name]["lpips"] = distance
    return metrics


def mean_lpips(model: SuperResolver, images: Dataset, lpips: Lpips) -> float:
    pairs = (to_arrays(row, model.config.scale) for row in images)
    return float(np.mean([lpips([to_tensor(enlarge(model, low))], to_tensor(high)) for low, high in pairs]))


def measure_image(
    row: dict[str, Any], scale: int, networks: dict[str, SuperResolver], reference: str, lpips: Lpips | None
) -> dict[str, Any]:
    """Metrics of networks and interpolations on one test image, and by how much and at which detail it gains and loses most.

    Against interpolation the best detail is that where the squared error falls most. A network that was trained on features lets it grow
    nearly everywhere: there the image whose LPIPS falls most is the best, and its detail that where the network before was farthest off.
    """
    low, high = to_arrays(row, scale)
    images = {name: enlarge(network, low) for name, network in networks.items()}
    metrics = measure_all(images, high, scale, lpips) | row["interpolations"]
    if reference == "bicubic":
        images[reference] = resize_bicubic(low, scale)
    errors = {name: ((images[name].astype(float) - high) ** 2).mean(-1) for name in (OURS, reference)}
    falls = mean_of_details(errors[reference] - errors[OURS], CROP)
    best = (float(falls.max()), np.unravel_index(falls.argmax(), falls.shape))
    if reference == BEFORE and lpips is not None:
        off = mean_of_details(errors[BEFORE], CROP)
        best = metrics[BEFORE]["lpips"] - metrics[OURS]["lpips"], np.unravel_index(off.argmax(), off.shape)
    return {
        "id": row["index"],
        "source": row["source"],
        "given": row["given"],
        "metrics": metrics,
        "gain": metrics[OURS]["psnr"] - metrics["bicubic"]["psnr"],
        "best": best,
        "worst": (-float(falls.min()), np.unravel_index(falls.argmin(), falls.shape)),
    }


def mean_of_details(values: np.ndarray, side: int) -> np.ndarray:
    """The mean over every square of `side` pixels, `(height - side + 1, width - side + 1)`; over less where the image is smaller."""
    sums = np.pad(values.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    height, width = (min(side, each) for each in values.shape)
    total = sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width] + sums[:-height, :-width]
    return total / (height * width)


def scores_by_image(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """PSNR and LPIPS of each method on each image of the largest benchmark, for paired comparisons."""
    sources = [row["source"] for row in rows]
    source = max(dict.fromkeys(sources), key=sources.count)
    of = [row for row in rows if row["source"] == source]
    scores = {
        f"{source}_{key}" if source else key: {
            "model" if name == OURS else name: [round(row["metrics"][name][key], 5) for row in of]
            for name in of[0]["metrics"]
        }
        for key in ("psnr", "lpips")
        if key in of[0]["metrics"][OURS]
    }
    return {"ids": [row["id"] for row in of], "scores": scores}


def means_by_source(rows: list[dict[str, Any]], method: str) -> dict[str, float]:
    """`set5_psnr` and so on; without the benchmark's name where the images have none."""
    means = {}
    for source in dict.fromkeys(row["source"] for row in rows):
        of = [row["metrics"][method] for row in rows if row["source"] == source]
        means |= {f"{source}_{key}" if source else key: float(np.mean([each[key] for each in of])) for key in of[0]}
    return means


def table_by_source(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    table = []
    for source in dict.fromkeys(row["source"] for row in rows):
        for method in rows[0]["metrics"]:
            means = means_by_source([row for row in rows if row["source"] == source], method)
            of = {key.removeprefix(f"{source}_"): value for key, value in means.items()}
            table.append(
                {"benchmark": NAMES.get(source, source or "test"), "": method}
                | {name: f"{of[key]:.2f}" if key != "ssim" else f"{of[key]:.4f}" for key, name in METRICS.items()}
                | ({"LPIPS": f"{of['lpips']:.4f}"} if "lpips" in of else {})
            )
    return table


def describe_protocol(scale: int, rows: list[dict[str, Any]], lpips: Lpips | None) -> str:
    text = (
        "Protocol `y_channel_matlab`: PSNR and SSIM of the luminance (ITU-R BT.601, studio range, not rounded), a border of "
        f"{scale} pixels left out."
    )
    made = [NAMES.get(row["source"], row["source"]) for row in rows if not row["given"]]
    if len(made) < len(rows):
        text += " Small images are those that the benchmarks give."
    if made:
        of = " of " + ", ".join(dict.fromkeys(made)) if any(made) else ""
        text += f" Small images{of} were made here, by bicubic interpolation as MATLAB has it."
    checks = []
    for source, value in ((each, means_by_source(rows, "bicubic").get(f"{each}_psnr")) for each in PUBLISHED_BICUBIC):
        if value is not None:
            published = PUBLISHED_BICUBIC[source][scale]
            checks.append(f"{NAMES[source]} {value:.2f} (published {published:.2f})")
            if abs(value - published) > MOST_DEVIATION:
                checks[-1] += (
                    ", which is too far off: these are other images, other small ones or another luminance, and the rows compare with none "
                    "of papers"
                )
    if checks:
        text += f" Its check, bicubic interpolation in dB: {', '.join(checks)}."
    if lpips is not None:
        backbone = Path(lpips.backbone).name if Path(lpips.backbone).exists() else lpips.backbone
        text += (
            f" LPIPS, in colour and of the middle {MOST_SIDE} x {MOST_SIDE} pixels of larger images, has the paper's linear layers on the VGG16 {backbone}, whose weights need not be those of papers: it compares "
            "these rows with each other and with no published ones. Lower is better."
        )
    return text


def count_multiply_adds(model: SuperResolver) -> int:
    """For a result of 1280 x 720 pixels, as papers count them."""
    size = (720 // model.config.scale, 1280 // model.config.scale)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, 3, *size, device=model.device))
    return counter.get_total_flops() // 2


def time_megapixel(model: SuperResolver, runs: int = 5) -> float:
    """Median seconds for a result of 1024 x 1024 pixels."""
    side = 1024 // model.config.scale
    image, seconds = torch.rand(1, 3, side, side, device=model.device), []
    with torch.no_grad():
        for _ in range(runs + 1):
            start = time.perf_counter()
            model(image).reconstruction.sum().item()  # waits for an accelerator
            seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:]) * 2**20 / (side * model.config.scale) ** 2


# -- figures ---------------------------------------------------------------------------------------
def plot_gains(rows: list[dict[str, Any]]):
    figure, axes = new_figure(1, 1, 6.0, 3.4)
    axis = axes[0, 0]
    for color, source in zip(itertools.cycle(PALETTE), dict.fromkeys(row["source"] for row in rows)):
        of = [row for row in rows if row["source"] == source]
        bicubic = [row["metrics"]["bicubic"]["psnr"] for row in of]
        axis.scatter(bicubic, [row["gain"] for row in of], s=14, color=color, label=NAMES.get(source, source))
    axis.axhline(0, color=MUTED, linewidth=1)
    axis.set(xlabel="PSNR of bicubic interpolation, dB", ylabel="gain, dB")
    axis.grid(alpha=0.3)
    if any(row["source"] for row in rows):
        axis.legend(frameon=False)
    return figure


def show_details(
    test: Dataset,
    scale: int,
    methods: dict[str, Callable],
    details: list[tuple[int, tuple[int, int]]],
) -> Image.Image:
    """A row of pictures for each detail: the image and what methods make of it; pixels are squares and keep their colours.

    Args:
        test: decoded images.
        scale: of the model.
        methods: what enlarges a small image, by name.
        details: the place of a test image, and row and column of the detail's upper left corner.
    """
    side, gap, heading = CROP * ZOOM, 8, 20
    high_line = heading + side + gap
    panel = Image.new("RGB", ((1 + len(methods)) * (side + gap) - gap, len(details) * high_line - gap), "white")
    for line, (place, (top, left)) in enumerate(details):
        row = test[place]
        low, high = to_arrays(row, scale)
        original = f"{NAMES.get(row['source'], row['source'])} row {row['index']}, original".strip()
        pictures = {original: high, **{name: method(low) for name, method in methods.items()}}
        for column, (name, picture) in enumerate(pictures.items()):
            detail = Image.fromarray(np.ascontiguousarray(picture[top : top + CROP, left : left + CROP]))
            detail = detail.resize([ZOOM * length for length in detail.size], Image.Resampling.NEAREST)
            corner = (column * (side + gap), line * high_line)
            ImageDraw.Draw(panel).text((corner[0], corner[1] + 3), name, fill=INK, font_size=13)
            panel.paste(detail, (corner[0], corner[1] + heading))
    return panel
