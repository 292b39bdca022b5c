"""`hf-recipes index`."""

import argparse
from pathlib import Path

from .inputs import DEVICE, Commands, at_least_one
from .outputs import silence_transformers


def add(commands: Commands) -> None:
    parser = commands.add_parser(
        "index",
        help="make texts ready for questions",
        description="Cut texts into passages, embed them and save the index; an index that is there takes what is new or changed.",
        epilog="example: hf-recipes index book.txt --output outputs/book --reader outputs/question_answering_passages",
    )
    parser.add_argument(
        "texts",
        nargs="+",
        metavar="TEXT",
        help="files, folders, addresses or data sets on the Hub of plain text, Markdown or HTML",
    )
    parser.add_argument("--output", required=True, metavar="FOLDER", help="where the index is saved")
    parser.add_argument("--embedder", help="id or folder of a model of sentence-transformers")
    parser.add_argument("--chunking", help="characters, tokens, sentences, paragraphs, recursive, sliding or semantic")
    parser.add_argument("--size", type=at_least_one, help="of a passage, in the chunking's unit")
    parser.add_argument("--overlap", type=int, help="of two passages in a row")
    parser.add_argument(
        "--titles",
        action="store_const",
        const=True,
        help="search passages with the titles of their sections before them",
    )
    parser.add_argument("--reader", help="that `ask` takes if it is given none: id or folder; the index remembers it")
    parser.add_argument("--device", help=DEVICE)
    parser.set_defaults(call=index_texts)


def index_texts(args: argparse.Namespace) -> int:
    from .. import PassageIndex
    from ..rag.documents import load_documents

    silence_transformers()
    documents = [document for source in args.texts for document in load_documents(source)]
    given = {
        "embedder": args.embedder,
        "kind": args.chunking,
        "size": args.size,
        "overlap": args.overlap,
        "titles": args.titles,
    }
    given = {name: value for name, value in given.items() if value is not None}
    if (Path(args.output) / "config.json").exists():
        index = PassageIndex.from_pretrained(args.output, device=args.device)
        index.check_made_by(**given)
        added, changed = index.update(documents)
        print(f"{added} texts added, {changed} made anew, {len(documents) - added - changed} as they were")
    else:
        index = PassageIndex.build(documents, device=args.device, **given)
    if args.reader:
        index.remember(args.reader)
    index.save_pretrained(args.output)
    print(f"{args.output}: {len(index.passages)} passages of {len(index.config['documents'])} texts")
    return 0
