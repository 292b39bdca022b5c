"""`hf-recipes ask`."""

import argparse
import json

from .inputs import DEVICE, Commands, at_least_one
from .outputs import print_each, silence_transformers


def add(commands: Commands) -> None:
    parser = commands.add_parser(
        "ask",
        help="answer questions from an index of texts",
        description="Answer questions from the passages of an index, with the places that the answer rests on.",
        epilog='example: hf-recipes ask outputs/book_index "Who lives in the tower?" --reader outputs/question_answering_passages',
    )
    parser.add_argument("index", metavar="INDEX", help="folder of an index, or id on the Hub")
    parser.add_argument("question", nargs="+")
    parser.add_argument(
        "--reader", required=True, help="folder or id of an extractive model, a chat model or an encoder-decoder"
    )
    parser.add_argument(
        "--prompt", default="plain", help="of a model that writes: plain, quote, steps, cite, or a file of one's own"
    )
    parser.add_argument("--embedder", help="that made the index, where it is no longer where it was then: id or folder")
    parser.add_argument(
        "--method", default="hybrid", choices=["dense", "bm25", "hybrid"], help="how passages are found"
    )
    parser.add_argument("--k", type=at_least_one, default=5, help="passages to read")
    parser.add_argument(
        "--least-score",
        type=float,
        help="below it, 0 to 1, nothing is answered; if not given, what the index knows of the reader, else 0.5 for an extractive one",
    )
    parser.add_argument("--explain", action="store_true", help="show each stage: passages, scores, prompt, seconds")
    parser.add_argument("--json", action="store_true", help="print one JSON object per question")
    parser.add_argument("--device", help=DEVICE)
    parser.set_defaults(call=ask_index)


def ask_index(args: argparse.Namespace) -> int:
    from sentence_transformers import SentenceTransformer

    from .. import PassageIndex, RagPipeline
    from ..rag.readers import load_reader

    silence_transformers()
    embedder = SentenceTransformer(args.embedder, device=args.device) if args.embedder else None
    index = PassageIndex.from_pretrained(args.index, embedder=embedder, device=args.device)
    reader = load_reader(args.reader, args.prompt, args.device)
    least_score = index.least_score(args.reader) if args.least_score is None else args.least_score
    rag = RagPipeline(index, reader, k=args.k, method=args.method, least_score=least_score)

    def ask(question: str) -> str:
        answer = rag(question)
        if args.json:
            return json.dumps(answer.as_dict(), ensure_ascii=False)
        return answer.explain() if args.explain else answer.show()

    return print_each(args.question, ask)
