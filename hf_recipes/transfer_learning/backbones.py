"""Pretrained networks of timm with a new head, and what each takes for an image."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import timm
import torch
from transformers import AutoConfig, AutoModelForImageClassification, PreTrainedModel
from transformers.models.timm_wrapper import TimmWrapperImageProcessor
from transformers.utils import logging

from .configuration_pooled_classifier import PooledClassifierConfig
from .modeling_pooled_classifier import PooledClassifier


def load_backbone(
    backbone: str,
    names: list[str],
    *,
    image_size: int | None = None,
    crop_pct: float | None = None,
    pooled_head: bool = False,
    dropout: float = 0.0,
    drop_path: float = 0.0,
    pretrained: bool = True,
) -> PreTrainedModel:
    """A network of timm with a new head, and its config with the image that it will be trained on.

    Args:
        backbone: id of a timm model on the Hub, or the folder of one.
        names: of the classes.
        image_size: side in pixels of the images that it is trained on; the backbone's own by default.
        crop_pct: side of the square that is cut from the middle of an image, as a share of its shorter side; the backbone's own by
            default.
        pooled_head: the mean of the last features and a linear layer instead of the network's own classifier.
        dropout: before the head.
        drop_path: share of residual branches left out (stochastic depth, Huang et al. 2016); networks without them have none.
        pretrained: False for timm's initial weights.

    Raises:
        OSError: when there is no such model.
        ValueError: when the network cannot take images of that size, or when weights other than the head's are not there.
    """
    labels = {"id2label": dict(enumerate(names)), "label2id": {name: number for number, name in enumerate(names)}}
    try:
        config = AutoConfig.from_pretrained(backbone)
    except (OSError, ValueError) as error:
        raise OSError(f"--backbone {backbone}: {error}") from error
    if getattr(config, "pretrained_cfg", None) is None:
        raise ValueError(f"--backbone {backbone} is no model of timm: its config has no pretrained_cfg")
    pretrained_cfg = with_image(config.pretrained_cfg, image_size, crop_pct)
    if pooled_head:
        config = PooledClassifierConfig(
            architecture=config.architecture, pretrained_cfg=pretrained_cfg, dropout=dropout, **labels
        )
        model = PooledClassifier(config)
        if pretrained:
            place = f"local-dir:{backbone}" if Path(backbone).is_dir() else f"hf-hub:{backbone}"
            source = timm.create_model(place, pretrained=True, features_only=True, out_indices=(-1,), num_classes=0)
            model.timm_model.backbone.load_state_dict(source.state_dict())
    else:
        arguments: dict[str, Any] = {"drop_rate": dropout} if dropout else {}
        if drop_path:
            arguments["drop_path_rate"] = drop_path
        with errors_only():  # the new head is what is asked for, and anything else is refused below
            model, loaded = AutoModelForImageClassification.from_pretrained(
                backbone,
                num_labels=len(names),
                **labels,
                model_args=arguments,
                pretrained_cfg=pretrained_cfg,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            )
        check_loaded(model, loaded, backbone)
        if not pretrained:
            fresh = timm.create_model(config.architecture, num_classes=len(names))
            model.timm_model.load_state_dict(fresh.state_dict())
    check_image_size(model, pretrained_cfg["input_size"])
    return model


@contextlib.contextmanager
def errors_only() -> Iterator[None]:
    """transformers says nothing but errors inside."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)


def check_loaded(model: PreTrainedModel, loaded: dict[str, Any], backbone: str) -> None:
    """Every weight but the head's is the backbone's."""
    head = {id(parameter) for parameter in model.timm_model.get_classifier().parameters()}
    heads = {name for name, parameter in model.named_parameters() if id(parameter) in head}
    fresh = {*loaded["missing_keys"], *(name for name, *_ in loaded["mismatched_keys"])} - heads
    if fresh:
        raise ValueError(
            f"--backbone {backbone} has no weights for {', '.join(sorted(fresh)[:4])}, which would start at random; "
            "--pooled_head true puts a head of its own on the features"
        )


def with_image(pretrained_cfg: dict[str, Any], image_size: int | None, crop_pct: float | None) -> dict[str, Any]:
    """What timm knows of the weights, with the image that they are going to be trained on."""
    changed = dict(pretrained_cfg)
    if image_size is not None:
        changed["input_size"] = [3, image_size, image_size]
        changed.pop("pool_size", None)
        changed.pop("test_input_size", None)
        changed.pop("test_crop_pct", None)
    if crop_pct is not None:
        changed["crop_pct"] = crop_pct
    return changed


def check_image_size(model: PreTrainedModel, input_size: list[int]) -> None:
    try:
        with torch.no_grad():
            model.eval()(torch.zeros(1, *input_size))
    except (RuntimeError, AssertionError, ValueError) as error:
        raise ValueError(
            f"{model.config.architecture} cannot take images of {input_size[1]} x {input_size[2]} pixels: {error}; "
            "choose another --image_size"
        ) from error


def make_processor(model: PreTrainedModel) -> TimmWrapperImageProcessor:
    """The backbone's own preprocessing, which travels in the model's config."""
    return TimmWrapperImageProcessor(model.config.pretrained_cfg, architecture=model.config.architecture)
