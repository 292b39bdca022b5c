"""`hf-recipes answer`."""

import argparse
import json

from .inputs import Commands, at_least_one, read_text, with_model
from .outputs import print_each, silence_transformers


def add(commands: Commands) -> None:
    parser = commands.add_parser(
        "answer",
        parents=[with_model("question")],
        help="answer questions by spans of a text",
        description="Print the answers to questions that a text holds, with their scores and places.",
        epilog='example: hf-recipes answer --question "Who wrote it?" --context book.txt --model outputs/question_answering_squad',
    )
    parser.add_argument("--question", nargs="+", required=True)
    parser.add_argument("--context", required=True, metavar="TEXT", help="a text, or a file of one")
    parser.add_argument("--none", action="store_true", help="say so where the model finds that the text has no answer")
    parser.add_argument("--top", type=at_least_one, default=1, help="answers to show of each question")
    parser.set_defaults(call=answer_questions)


def answer_questions(args: argparse.Namespace) -> int:
    from transformers import AutoModelForQuestionAnswering, AutoTokenizer

    from .. import QuestionAnsweringPipeline
    from ..pretrained import load_trained

    silence_transformers()
    model = load_trained(AutoModelForQuestionAnswering, args.model)
    answer = QuestionAnsweringPipeline(
        model=model, tokenizer=AutoTokenizer.from_pretrained(args.model), device=args.device
    )
    context = read_text(args.context)

    def ask(question: str) -> str:
        answers = answer(
            question=question, context=context, top_k=args.top, handle_impossible_answer=args.none, batch_size=16
        )
        answers = answers if isinstance(answers, list) else [answers]
        if args.json:
            return json.dumps({"question": question, "answers": answers})
        return "\n".join(
            f"{each['score']:.3f} {each['start']}-{each['end']} {each['answer'] or 'no answer'}" for each in answers
        )

    return print_each(args.question, ask)
