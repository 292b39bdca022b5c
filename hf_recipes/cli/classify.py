"""`hf-recipes classify`."""

import argparse
import json

from .inputs import Commands, at_least_one, expand, is_url, on_images
from .outputs import print_each, silence_transformers


def add(commands: Commands) -> None:
    parser = commands.add_parser(
        "classify",
        parents=[on_images()],
        help="classify images",
        description="Print the likeliest classes of images with their probabilities.",
        epilog="example: hf-recipes classify photo.png --model outputs/cifar10_cnn --top 3",
    )
    parser.add_argument("--top", type=at_least_one, default=3, help="classes to show")
    parser.set_defaults(call=classify_images)


def classify_images(args: argparse.Namespace) -> int:
    from transformers import (
        AutoConfig,
        AutoImageProcessor,
        AutoModelForImageClassification,
        ImageClassificationPipeline,
    )

    from .. import CifarClassifier, PooledClassifier
    from ..images import open_image, to_rgb
    from ..pretrained import load_trained

    silence_transformers()
    images = expand(args.images)
    for model_class in (CifarClassifier, PooledClassifier):  # so that no code of the repository is run
        AutoConfig.register(model_class.config_class.model_type, model_class.config_class, exist_ok=True)
        AutoModelForImageClassification.register(model_class.config_class, model_class, exist_ok=True)
    model = load_trained(AutoModelForImageClassification, args.model)
    classifier = ImageClassificationPipeline(
        model=model,
        image_processor=AutoImageProcessor.from_pretrained(args.model),
        device=args.device,
        top_k=min(args.top, model.config.num_labels),
    )

    def classify(image: str) -> str:
        classes = classifier(image if is_url(image) else to_rgb(open_image(image)))
        if args.json:
            return json.dumps({"image": image, "classes": classes})
        return "  ".join([image, *(f"{each['label']} {each['score']:.3f}" for each in classes)])

    return print_each(images, classify)
