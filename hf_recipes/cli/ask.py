"""`hf-recipes ask`."""

import argparse
import json
from pathlib import Path
from typing import Any

from .inputs import DEVICE, Commands, at_least_one
from .outputs import print_each, silence_transformers


def add(commands: Commands) -> None:
    parser = commands.add_parser(
        "ask",
        help="answer questions from an index of texts",
        description="Answer questions from the passages of an index, with the places that the answer rests on.",
        epilog='example: hf-recipes ask outputs/book "Who lives in the tower?"',
    )
    parser.add_argument("index", metavar="INDEX", help="folder of an index, or id on the Hub")
    parser.add_argument("question", nargs="+")
    parser.add_argument(
        "--reader",
        help="folder or id of an extractive model, a chat model or an encoder-decoder. What is not given, this and the next four, is as the "
        "index was measured or told",
    )
    parser.add_argument("--prompt", help="of a model that writes: plain, quote, steps, cite, or a file of one's own")
    parser.add_argument("--method", choices=["dense", "bm25", "hybrid"], help="how passages are found; hybrid")
    parser.add_argument("--rerank", help="folder or id of an extractive model or a cross-encoder that orders them anew")
    parser.add_argument("--k", type=at_least_one, help="passages to read; 5")
    parser.add_argument("--embedder", help="that made the index, where it is no longer where it was then: id or folder")
    parser.add_argument(
        "--least-score",
        type=float,
        help="below it, 0 to 1, nothing is answered; if not given, what was measured with all of that, else 0.5 for an extractive reader",
    )
    parser.add_argument("--explain", action="store_true", help="show each stage: passages, scores, prompt, seconds")
    parser.add_argument("--json", action="store_true", help="print one JSON object per question")
    parser.add_argument("--device", help=DEVICE)
    parser.set_defaults(call=ask_index)


def ask_index(args: argparse.Namespace) -> int:
    from sentence_transformers import SentenceTransformer

    from .. import PassageIndex, RagPipeline
    from ..rag.readers import load_reader, load_reranker

    silence_transformers()
    embedder = SentenceTransformer(args.embedder, device=args.device) if args.embedder else None
    index = PassageIndex.from_pretrained(args.index, embedder=embedder, device=args.device)
    how = choose_options(args, index.config.get("asked", {}))
    reader = load_reader(how.pop("reader"), how.pop("prompt", "plain"), args.device)
    rerank = how.pop("rerank", None)
    rag = RagPipeline(index, reader, rerank=load_reranker(rerank, args.device) if rerank else None, **how)

    def ask(question: str) -> str:
        answer = rag(question)
        if args.json:
            return json.dumps(answer.as_dict(), ensure_ascii=False)
        return answer.explain() if args.explain else answer.show()

    return print_each(args.question, ask)


def choose_options(args: argparse.Namespace, known: dict[str, Any]) -> dict[str, Any]:
    """The reader, and options of `RagPipeline`: what is given, else what the index knows. A least score that was measured with other options says
    nothing of these.

    Raises:
        ValueError: when there is no reader.
    """
    names = ("reader", "prompt", "method", "rerank", "k")
    given = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    how = known | given
    if "reader" not in how:
        raise ValueError(f"the index {args.index} knows no reader; give --reader, or make it with one")
    # a reader is known by the last part of its id or folder, which pushing it keeps
    same = all(Path(str(how[name])).name == Path(str(known.get(name))).name for name in given)
    if args.least_score is not None:
        how["least_score"] = args.least_score
    elif not same:
        how.pop("least_score", None)
    return how
