"""What the cards of the small classifiers say beyond the numbers of their run."""

from typing import Any

from ..model_card import CardInfo, describe_data

SUMMARIES = {
    "fully_connected": "A fully connected network over the flat pixels of a small image. Nothing in it knows which pixels "
    "are neighbours.",
    "cnn": "A small convolutional network as a textbook draws it: blocks of two 3 x 3 convolutions with max pooling.",
    "fast_cnn": "A convolutional network that trains in minutes on a processor: a frozen convolution that whitens patches by "
    "half, then a few wide blocks.",
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
CITATIONS = {
    "fully_connected": "",
    "cnn": "Simonyan and Zisserman 2015 (VGG)",
    "fast_cnn": "Page, How to train your ResNet, 2018 (whitening by a frozen convolution, the schedule that rises and falls); Jordan, 94% on "
    "CIFAR-10 in 3.29 seconds on a single GPU, 2024 (the network); Zagoruyko and Komodakis 2017 (a start at the identity); Ioffe and "
    "Szegedy 2015 (batch norm)",
}


def make_card(recipe: Any, weight_average: float, image_format: str | None, tested_on: str | None) -> CardInfo:
    """The card of a run of `recipes/cifar10.py`, from its arguments, the format of the images' files and what the test is."""
    is_cifar = recipe.dataset.rstrip("/").split("/")[-1] == "cifar10"
    re_encoded = is_cifar and (image_format or "").startswith("JPEG")  # the original's files are PNG
    name = f"CIFAR-10 re-encoded as {image_format}" if re_encoded else "CIFAR-10"
    data = describe_data(recipe, {"cifar10": (name, "https://www.cs.toronto.edu/~kriz/cifar.html", "unknown")})
    if re_encoded:
        data["dataset_id"] = None  # what the Hub has under that id is the original
    metrics = {"accuracy": "accuracy", "log_loss": "log loss"}
    if recipe.test_time_augmentation != "none":
        tta = recipe.test_time_augmentation.replace("_", " ")
        metrics = {
            "accuracy": f"accuracy with test-time augmentation ({tta})",
            "accuracy_without_tta": "accuracy without it",
            "log_loss": "log loss",
        }
    augmented = ", augmented" if recipe.flip != "none" or recipe.translate or recipe.cutout else ""
    return CardInfo(
        title=f"Image classifier ({recipe.architecture.replace('_', ' ')}{augmented}), {data['dataset_name']}",
        summary=SUMMARIES[recipe.architecture]
        + describe_inputs(recipe)
        + describe_training(recipe)
        + TEST_TIME_AUGMENTATION[recipe.test_time_augmentation],
        pipeline_task="image-classification",
        auto_class="AutoModelForImageClassification",
        metrics=metrics,
        snippet=SNIPPET,
        **data,
        tested_on=tested_on and f"{data['dataset_name']}, {tested_on}",
        recipe="recipes/cifar10.py",
        limitations=[
            "It knows its own classes only, and answers with one of them for any image.",
            f"It sees a photograph squeezed to {recipe.image_size} x {recipe.image_size} pixels: the object has to fill the frame.",
            "Probabilities are not calibrated.",
            *(
                [
                    "Published accuracies are on the original images, which are what the address above and the Hub give out; JPEG blurs and blocks "
                    "images as small as these, so these are lower."
                ]
                if re_encoded
                else []
            ),
            "The stock pipeline cuts 16-bit gray at white: give it 8 bits, or use `hf-recipes classify`.",
        ],
        citation=cite(recipe, weight_average, is_cifar),
        pipeline_tag="image-classification",
    )


def cite(recipe: Any, weight_average: float, is_cifar: bool) -> str:
    """The sources of what a run used."""
    sources = [
        is_cifar and "Krizhevsky, Learning multiple layers of features from tiny images, 2009 (CIFAR-10)",
        CITATIONS[recipe.architecture],
        recipe.architecture != "fast_cnn" and recipe.batch_norm and "Ioffe and Szegedy 2015 (batch norm)",
        recipe.architecture == "fully_connected" and recipe.whitening and "Lin, Memisevic and Konda 2015 (whitening)",
        recipe.residual and "He et al. 2016 (residual)",
        recipe.dropout and "Srivastava et al. 2014 (dropout)",
        recipe.flip == "alternating" and "Jordan 2024 (alternating flip)",
        recipe.cutout and "DeVries and Taylor 2017 (cutout)",
        recipe.mixup and "Zhang et al. 2018 (mixup)",
        recipe.label_smoothing and "Szegedy et al. 2016 (label smoothing)",
        recipe.small_size and "Howard 2018, Tan and Le 2021 (progressive resizing)",
        weight_average and "Polyak and Juditsky 1992 (averaging of weights)",
        recipe.muon_learning_rate and "Jordan et al., Muon: an optimizer for hidden layers in neural networks, 2024",
    ]
    return "; ".join(source for source in sources if source) + "."


def describe_inputs(recipe: Any) -> str:
    """What the first layer to be trained sees, where it is not the pixels and not what the network's summary says."""
    if recipe.architecture != "fully_connected" or not recipe.whitening:
        return ""
    return (
        f" Its first layer, fitted to the training images and then frozen, keeps {recipe.whitening} principal components "
        "and whitens them by half (each is divided by the root of its standard deviation)."
    )


def describe_training(recipe: Any) -> str:
    """What the images went through in the training, in a sentence or two."""
    parts = [
        recipe.flip != "none" and f"{recipe.flip} mirroring",
        recipe.translate and f"moves of up to {recipe.translate} pixels",
        recipe.cutout and f"cutout of {recipe.cutout} pixels",
        recipe.noise and f"Gaussian noise of {recipe.noise} standard deviations",
        recipe.mixup and f"mixup (alpha {recipe.mixup})",
    ]
    parts = [part for part in parts if part]
    text = f" Trained with {', '.join(parts)}." if parts else " Trained without augmentation of the images."
    if recipe.train_on_validation:
        text += " The images that validated while its settings were chosen train as well."
    if recipe.small_size:
        text += f" The first {recipe.small_until:.0%} of the training saw the images at {recipe.small_size} pixels."
    if recipe.pixel_permutation is not None:
        text += (
            " A control: the pixels of every image are put into another order, the same for all, before the network."
        )
    return text
