"""Pretrained networks of timm with a new head, and what each takes for an image."""

from typing import Any

import timm
import torch
from torch import nn
from transformers import AutoConfig, AutoModelForImageClassification, PreTrainedModel
from transformers.models.timm_wrapper import TimmWrapperImageProcessor

from ..pretrained import errors_only, load_features
from .configuration_pooled_classifier import PooledClassifierConfig
from .modeling_pooled_classifier import PooledClassifier

CHOSEN_HERE = ("num_classes", "drop_rate", "drop_path_rate")  # arguments of timm


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
        drop_path: share of residual branches left out (stochastic depth, Huang et al. 2016), an error for networks without them.
        pretrained: False for timm's initial weights.

    Raises:
        OSError: when there is no such model, or none that this version of timm knows.
        ValueError: when the crop is no share, when the network has several heads or cannot take images of that size, or when weights other than the head's are not there.
    """
    labels = {"id2label": dict(enumerate(names)), "label2id": {name: number for number, name in enumerate(names)}}
    try:
        config = AutoConfig.from_pretrained(backbone)
    except (OSError, ValueError, ImportError) as error:
        raise OSError(f"--backbone {backbone}: {error}") from error
    if getattr(config, "pretrained_cfg", None) is None:
        raise ValueError(f"--backbone {backbone} is no model of timm: its config has no pretrained_cfg")
    pretrained_cfg = with_image(config.pretrained_cfg, image_size, crop_pct)
    # what the network was built with, but what is chosen here
    built_with = {key: value for key, value in (config.model_args or {}).items() if key not in CHOSEN_HERE}
    if pooled_head:
        if drop_path:
            raise ValueError(f"--drop_path {drop_path} does not go with --pooled_head true")
        if built_with:
            raise ValueError(f"--backbone {backbone}, built with {built_with}, does not go with --pooled_head true")
        config = PooledClassifierConfig(
            architecture=config.architecture, pretrained_cfg=pretrained_cfg, dropout=dropout, **labels
        )
        model = PooledClassifier(config)
        if pretrained:
            model.timm_model.backbone.load_state_dict(load_features(backbone, "--backbone").state_dict())
    else:
        arguments = built_with | ({"drop_rate": dropout} if dropout else {})
        if drop_path:
            arguments["drop_path_rate"] = drop_path
        try:
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
        except ImportError as error:
            raise OSError(f"--backbone {backbone}: {error}") from error
        except TypeError as error:
            raise ValueError(f"--backbone {backbone} takes no {' or '.join(arguments)}: {error}") from error
        check_loaded(model, loaded, backbone)
        model.config.label_names = list(names)  # a fine-tuned source has names of its own, which would be saved again
        if getattr(model.config, "label_descriptions", None):
            model.config.label_descriptions = None
        if not pretrained:
            fresh = timm.create_model(config.architecture, num_classes=len(names), **built_with)
            model.timm_model.load_state_dict(fresh.state_dict())
    check_image_size(model, pretrained_cfg["input_size"])
    return model


def check_loaded(model: PreTrainedModel, loaded: dict[str, Any], backbone: str) -> None:
    """Every weight but the head's is the backbone's.

    Raises:
        ValueError: when it is not, or when the network has several heads, as distilled ones do.
    """
    if not isinstance(model.timm_model.get_classifier(), nn.Module):
        raise ValueError(f"--backbone {backbone} has several heads; choose a network with one")
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
        if not 0 < crop_pct <= 1:
            raise ValueError(f"--crop_pct is {crop_pct}; it is a share of the image's side, above 0 and at most 1")
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
