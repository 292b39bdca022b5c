"""What the cards of the small classifiers say beyond the numbers of their run."""

from typing import Any

from ..model_card import CardInfo, describe_data

SUMMARIES = {
    "fully_connected": "A fully connected network over the flat pixels of a small image. Nothing in it knows which pixels "
    "are neighbours.",
    "cnn": "A small convolutional network as a textbook draws it: blocks of two 3 x 3 convolutions with max pooling.",
    "fast_cnn": "A convolutional network that trains in minutes on a processor: a frozen whitening convolution, then a few "
    "wide blocks.",
}
SNIPPET = """
from huggingface_hub import hf_hub_download
from transformers import pipeline

classify = pipeline("image-classification", model="{model_id}", trust_remote_code=True)
image = hf_hub_download("{model_id}", "example.png")  # or any photograph, of any size
print(classify(image))
"""
TEST_TIME_AUGMENTATION = {
    "none": "",
    "flip": " At test time the logits of the image and its mirror image are averaged.",
    "flip_and_shift": " At test time the logits of the image, two shifted copies and their mirror images are averaged.",
}


def make_card(recipe: Any, image_format: str) -> CardInfo:
    """The card of a run of `recipes/cifar10.py`, from its arguments and the format of the images' files."""
    name = "CIFAR-10 re-encoded as JPEG" if image_format == "JPEG" else "CIFAR-10"  # the original's files are PNG
    data = describe_data(recipe, {"cifar10": (name, "https://www.cs.toronto.edu/~kriz/cifar.html", "unknown")})
    metrics = {"accuracy": "accuracy", "log_loss": "log loss"}
    if recipe.test_time_augmentation != "none":
        tta = recipe.test_time_augmentation.replace("_", " ")
        metrics = {
            "accuracy": f"accuracy with test-time augmentation ({tta})",
            "accuracy_without_tta": "accuracy without it",
            "log_loss": "log loss",
        }
    return CardInfo(
        title=f"Image classifier ({recipe.architecture.replace('_', ' ')}), {data['dataset_name']}",
        summary=SUMMARIES[recipe.architecture] + TEST_TIME_AUGMENTATION[recipe.test_time_augmentation],
        pipeline_task="image-classification",
        auto_class="AutoModelForImageClassification",
        metrics=metrics,
        snippet=SNIPPET,
        **data,
        recipe="recipes/cifar10.py",
        limitations=[
            "It knows its own classes only, and answers with one of them for any image.",
            "It sees a photograph at the size of a thumbnail: the object has to fill the frame.",
            "Probabilities are not calibrated.",
        ],
        citation="CIFAR-10: Krizhevsky, Learning multiple layers of features from tiny images, 2009. Fast training: Jordan, "
        "94% on CIFAR-10 in 3.29 seconds on a single GPU, 2024.",
        pipeline_tag="image-classification",
    )
