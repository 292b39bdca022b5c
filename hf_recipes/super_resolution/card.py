"""What the cards of super-resolution networks say beyond the numbers of their run."""

from pathlib import Path
from typing import Any

from ..checkpoints import read_json
from ..model_card import CardInfo, describe_data
from ..run import RESULTS_FILE
from ..training import SETTINGS_FILE
from .analysis import NAMES
from .configuration_super_resolver import SuperResolverConfig
from .metrics import METRICS

# last part of a folder or id -> its name, source and licence
KNOWN_DATA = {
    "bsds400": (
        "BSDS500, its 400 images for training and testing (disjoint from B100)",
        "https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/bsds/",
        "other",
    ),
}
SUMMARIES = {
    "srcnn": "Three convolutions on the interpolated image (SRCNN), which add to it what interpolation leaves out.",
    "espcn": "Three convolutions on the small image and one shuffle of channels into pixels (ESPCN), added to bicubic interpolation.",
    "light": "{blocks} residual blocks of {width} channels on the small image and one shuffle of channels into pixels, added to bicubic "
    "interpolation.",
}
CITATIONS = {
    "srcnn": "Dong et al., Learning a deep convolutional network for image super-resolution, 2014.",
    "espcn": "Shi et al., Real-time single image and video super-resolution using an efficient sub-pixel convolutional neural network, 2016.",
    # residual blocks without norms are EDSR's, the layers on the small image and one upsampling at the end those of ESPCN and FSRCNN, few
    # channels in plain 3 x 3 convolutions, which processors are fast at, ECBSR's; the attention of IMDN, SAFMN and SPAN was left out
    "light": "Lim et al., Enhanced deep residual networks for single image super-resolution, 2017. Dong et al., Accelerating the "
    "super-resolution convolutional neural network (FSRCNN), 2016. Zhang et al., Edge-oriented convolution block for real-time super-resolution "
    "on mobile devices (ECBSR), 2021.",
}
PIXEL_ERRORS = {"l1": "mean absolute", "mse": "mean squared", "charbonnier": "Charbonnier"}
SNIPPET = """
from huggingface_hub import hf_hub_download
from transformers import pipeline

upscale = pipeline("image-to-image", model="{model_id}", trust_remote_code=True)
image = hf_hub_download("{model_id}", "example.png")  # or any image of your own
upscale(image).save("large.png")
"""


def make_card(recipe: Any, tested_on: str | None, sources: list[str]) -> CardInfo:
    """The card of a run of `recipes/super_resolution.py`, from its arguments and from what the test is.

    Args:
        recipe: the arguments.
        tested_on: what the test is where it is not the data set's own test split.
        sources: its benchmarks, or one empty name.
    """
    data = describe_data(recipe, KNOWN_DATA)
    perceptual = bool(recipe.perceptual_weight)
    labels = METRICS | {"lpips": "LPIPS"}
    metrics = {
        f"{source}_{key}" if source else key: f"{NAMES.get(source, source)} {labels[key]}".strip()
        for key in ("psnr", "lpips" if perceptual and recipe.lpips else "ssim")
        for source in sources
    }
    citation = CITATIONS[recipe.architecture]
    if perceptual:
        citation += (
            " Johnson, Alahi and Fei-Fei, Perceptual losses for real-time style transfer and super-resolution, 2016."
        )
    return CardInfo(
        title=f"Super-resolution x{recipe.scale} ({recipe.architecture}{', perceptual loss' if perceptual else ''})",
        summary=f"Makes photographs {recipe.scale} times as wide and high. "
        + SUMMARIES[recipe.architecture].format(blocks=recipe.blocks, width=recipe.width)
        + describe_training(recipe),
        pipeline_task="image-to-image",
        auto_class="AutoModelForImageToImage",
        metrics=metrics
        | {"psnr": METRICS["psnr"], "ssim": METRICS["ssim"]},  # those of the validation have no benchmark's name
        snippet=SNIPPET,
        **data,
        tested_on=tested_on and (tested_on if sources != [""] else f"{data['dataset_name']}, {tested_on}"),
        measured_on={
            f"{source}_{key}": NAMES.get(source, source) for source in filter(None, sources) for key in labels
        },
        recipe="recipes/super_resolution.py",
        limitations=[
            "It was trained on small images that bicubic interpolation made: photographs with noise, blur or JPEG artefacts of their "
            "own get these enlarged as well.",
            f"It makes images {recipe.scale} times as large and nothing else.",
            "What it adds is likely, not true: do not read faces, plates or text from it.",
            *(
                [
                    "It was trained on features of the network that LPIPS compares, so that its LPIPS is better in part by construction.",
                    "Texture that the small image does not hold may come out as a lattice of dots, as far apart as its pixels.",
                ]
                if perceptual
                else []
            ),
        ],
        citation=citation,
        pipeline_tag="image-to-image",
    )


def describe_training(recipe: Any) -> str:
    """What it was trained on, in a sentence."""
    parts = [f"the {PIXEL_ERRORS[recipe.pixel_loss]} error of pixels"]
    if recipe.perceptual_weight:
        weights = recipe.perceptual_layer_weights or [1.0] * len(recipe.perceptual_layers)
        layers = ", ".join(f"{weight:g} x {layer}" for layer, weight in zip(recipe.perceptual_layers, weights))
        parts.append(
            f"{recipe.perceptual_weight} times the relative {recipe.perceptual_error} error of VGG16's features ({layers})"
        )
    if recipe.frequency_weight:
        parts.append(f"{recipe.frequency_weight} times the error of frequencies")
    start = ""
    if recipe.start_from:
        source = SuperResolverConfig.from_pretrained(recipe.start_from)
        start = f" It went on from the weights of a trained {source.architecture} network that makes images {source.scale} times as large"
        last, *earlier = minutes_before(recipe.start_from) or [None]
        if last is not None:
            start += f", whose training took {last:.0f} minutes more"
        if earlier:
            start += f", after {sum(earlier):.0f} of what it had gone on from itself"
        start += "."
    patches = ""
    if recipe.least_zoom is not None:
        patches = f" Its large patches were cut anywhere, those of every other batch shrunk to as little as {recipe.least_zoom:g} of their size."
    return f" Trained on {' plus '.join(parts)}.{patches}{start}"


def minutes_before(start_from: str | None) -> list[float]:
    """Of the trainings behind a run's folder, the last one first, as far back as their folders are here."""
    run = read_json(Path(start_from) / RESULTS_FILE) if start_from else None
    if run is None:
        return []
    settings = read_json(Path(start_from) / SETTINGS_FILE) or {"options": {}}
    return [run["train_seconds"] / 60, *minutes_before(settings["options"].get("start_from"))]
