"""What the cards of fine-tuned classifiers say beyond the numbers of their run."""

from pathlib import Path
from typing import Any

from ..model_card import CardInfo, describe_data
from .metrics import METRICS

# last part of a folder or id -> its name, source and licence
KNOWN_DATA = {
    "isic9": (
        "ISIC skin lesions, 9 classes (the Kaggle set 'Skin cancer ISIC', cleaned)",
        "https://www.kaggle.com/datasets/nodoubttome/skin-cancer9-classesisic",
        "other",
    ),
}
STRATEGIES = {
    "linear_probe": "Only its head was trained, on features that were computed once.",
    "partial": "Its last {stages} stages and its head were trained.",
    "full": "All of its weights were trained.",
    "gradual": "Its weights were trained from the head down, one stage more at equal intervals.",
    "lora": "Low-rank updates of its convolutions (rank {lora_rank}) and its head were trained; the updates are merged.",
    "scratch": "Its weights are not pretrained: the control of the study.",
}
SNIPPET = """
from huggingface_hub import hf_hub_download
from transformers import pipeline

classify = pipeline("image-classification", model="{model_id}"{remote_code})
image = hf_hub_download("{model_id}", "example.png")  # or any image of your own
print(classify(image))
"""
SNIPPET_TIMM = """
# the same in timm, which takes its preprocessing from the repository
import timm

model = timm.create_model("hf-hub:{model_id}", pretrained=True).eval()
transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
"""
CITATIONS = {
    "linear_probe": "",
    "partial": "Yosinski et al., How transferable are features in deep neural networks?, 2014.",
    "full": "Yosinski et al., How transferable are features in deep neural networks?, 2014.",
    "gradual": "Howard and Ruder, Universal language model fine-tuning for text classification, 2018 (gradual unfreezing).",
    "lora": "Hu et al., LoRA: low-rank adaptation of large language models, 2022.",
    "scratch": "",
}


def make_card(recipe: Any, weight_average: float, tested_on: str | None) -> CardInfo:
    """The card of a run of `recipes/transfer_learning.py`, from its arguments and from what the test is."""
    data = describe_data(recipe, KNOWN_DATA)
    remote_code = ", trust_remote_code=True" if recipe.pooled_head else ""
    snippet = SNIPPET.replace("{remote_code}", remote_code) + ("" if recipe.pooled_head else SNIPPET_TIMM)
    how = STRATEGIES[recipe.strategy].format(stages=recipe.stages, lora_rank=recipe.lora_rank)
    name = recipe.backbone.rstrip("/").split("/")[-1]
    return CardInfo(
        title=f"{name} fine-tuned on {data['dataset_name']}",
        summary=f"An image classifier: `{recipe.backbone}` with a new head. {how}{describe_training(recipe, weight_average)}",
        pipeline_task="image-classification",
        auto_class="AutoModelForImageClassification",
        metrics=METRICS,
        snippet=snippet,
        **data,
        tested_on=tested_on and f"{data['dataset_name']}, {tested_on}",
        recipe="recipes/transfer_learning.py",
        limitations=[
            "It knows its own classes only, and answers with one of them for any image.",
            "Images of more than 512 pixels at the shorter side were made smaller in two steps for the training and the test, which the pipeline "
            "makes in one.",
            "It was trained on few images: see the intervals and the accuracy of each class before relying on it.",
            *(
                ["It is no medical device and must not be used to decide about anybody's health."]
                if "isic" in data["dataset_name"].lower()
                else []
            ),
        ],
        citation=f"{CITATIONS[recipe.strategy]} Wightman, PyTorch Image Models, 2019 (timm).".strip(),
        pipeline_tag="image-classification",
        base_model=recipe.backbone if recipe.strategy != "scratch" and not Path(recipe.backbone).is_dir() else None,
        tags=[] if recipe.pooled_head else ["timm"],
    )


def describe_training(recipe: Any, weight_average: float) -> str:
    """What the images and the loss went through, in a sentence."""
    parts = [
        recipe.strategy != "linear_probe"
        and recipe.augmentation != "none"
        and f"the augmentation '{recipe.augmentation}'",
        recipe.upside_down and "images turned upside down as well",
        recipe.hard_classes and f"'{recipe.hard_augmentation}' for {', '.join(recipe.hard_classes)}",
        recipe.mixup and f"mixup (alpha {recipe.mixup})",
        recipe.cutmix and f"CutMix (alpha {recipe.cutmix})",
        recipe.erasing and f"random erasing (probability {recipe.erasing})",
        recipe.label_smoothing and f"label smoothing {recipe.label_smoothing}",
        recipe.dropout and f"dropout {recipe.dropout}",
        recipe.drop_path and f"stochastic depth {recipe.drop_path}",
        recipe.layer_decay < 1 and f"rates that fall by {recipe.layer_decay} from stage to stage towards the image",
        recipe.early_stopping and "early stopping",
        weight_average and f"an average of the weights (decay {weight_average})",
        recipe.balance == "weights" and "classes weighted equally",
        recipe.balance == "sampling" and "classes drawn equally often",
    ]
    parts = [part for part in parts if part]
    text = f" Trained with {', '.join(parts)}." if parts else " Trained without augmentation."
    if recipe.train_fraction < 1:
        text += f" It saw {recipe.train_fraction:.0%} of the training images of every class."
    return text
