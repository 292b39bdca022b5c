"""`hf-recipes`: use what the recipes made, and run their studies. Training itself is `accelerate launch recipes/...`."""

import argparse
import sys

from ..errors import explain
from . import answer, ask, classify, classify_text, count, index, study, tag, upscale

COMMANDS = (count, classify, upscale, tag, classify_text, answer, index, ask, study)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hf-recipes", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    return parser


def main(argv: list[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    passed_on: list[str] = []
    if "--" in argv and argv[0] == "study":
        argv, passed_on = argv[: argv.index("--")], argv[argv.index("--") + 1 :]
    args = build_parser().parse_args(argv)
    args.passed_on = passed_on
    try:
        return args.call(args)
    except Exception as error:
        line = explain(error)
        if line is None:
            raise
        print(f"error: {line}", file=sys.stderr)
        return 1
