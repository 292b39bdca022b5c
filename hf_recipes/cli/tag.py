"""`hf-recipes tag`."""

import argparse
import json

from .inputs import Commands, accelerator, on_texts, read_text
from .outputs import print_each, silence_transformers


def add(commands: Commands) -> None:
    parser = commands.add_parser(
        "tag",
        parents=[on_texts()],
        help="find the named entities in texts",
        description="Print the named entities in texts, with the places of their characters.",
        epilog='example: hf-recipes tag "Grete Hermann lived in Göttingen." --model outputs/ner_conll2003',
    )
    parser.add_argument(
        "--map", metavar="FILE.yaml", help="other names for the model's types, null for those to leave out"
    )
    parser.set_defaults(call=tag_texts)


def tag_texts(args: argparse.Namespace) -> int:
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    from ..ner.head import tags_of
    from ..ner.labels import read_table, types_of
    from ..ner.windows import find_entities
    from ..pretrained import load_trained

    silence_transformers()
    model = load_trained(AutoModelForTokenClassification, args.model).to(args.device or accelerator())
    tokenizer = AutoTokenizer.from_pretrained(args.model, add_prefix_space=True)
    label_map = read_table(args.map, types_of(tags_of(model))) if args.map else None

    def tag(name: str) -> str:
        text = read_text(name)
        entities = find_entities(text, model, tokenizer, label_map)
        if args.json:
            return json.dumps({"text": text, "entities": entities})
        return (
            "\n".join(f"{each['start']}-{each['end']} {each['type']} {each['text']}" for each in entities)
            or "no entities"
        )

    return print_each(args.texts, tag)
