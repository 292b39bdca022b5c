"""`hf-recipes classify-text`."""

import argparse
import json

from .inputs import Commands, at_least_one, on_texts, read_text
from .outputs import print_each, silence_transformers


def add(commands: Commands) -> None:
    parser = commands.add_parser(
        "classify-text",
        parents=[on_texts()],
        help="tell the class or the value of texts",
        description="Print the likeliest classes of texts with their probabilities, or the value of a regression.",
        epilog='example: hf-recipes classify-text "rain fall lonely street" --model outputs/lyrics_genre --top 2',
    )
    parser.add_argument("--top", type=at_least_one, default=3, help="classes to show")
    parser.set_defaults(call=classify_texts)


def classify_texts(args: argparse.Namespace) -> int:
    from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, TextClassificationPipeline

    from .. import WordVectorConfig, WordVectorForSequenceClassification
    from ..pretrained import load_trained

    silence_transformers()
    # so that no code of the repository is run
    AutoConfig.register(WordVectorConfig.model_type, WordVectorConfig, exist_ok=True)
    AutoModelForSequenceClassification.register(WordVectorConfig, WordVectorForSequenceClassification, exist_ok=True)
    model = load_trained(AutoModelForSequenceClassification, args.model)
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    tell = TextClassificationPipeline(
        model=model, tokenizer=tokenizer, device=args.device, top_k=args.top, truncation=True
    )

    def classify(name: str) -> str:
        text = read_text(name)
        (classes,) = tell([text])
        if args.json:
            return json.dumps({"text": text, "classes": classes})
        return "  ".join(f"{each['label']} {each['score']:.3f}" for each in classes)

    return print_each(args.texts, classify)
