"""`hf-recipes study`."""

import argparse
from pathlib import Path

from .inputs import Commands


def add(commands: Commands) -> None:
    parser = commands.add_parser(
        "study",
        help="run the variants of a study over seeds and write its page",
        description="Run what is not done of a study, and write model_cards/TASK.md from all results.",
        epilog="example: hf-recipes study recipes/cell_counting/study_3_synthetic.yaml. What says where the data lie or how a run is shown goes to "
        "every run after --: hf-recipes study STUDY.yaml -- --dataset my/cells",
    )
    parser.add_argument("studies", nargs="+", metavar="STUDY.yaml")
    parser.add_argument("--seeds", type=int, nargs="+", help="of the seeds that the file names, these only")
    parser.add_argument("--only", nargs="+", metavar="VARIANT", help="run these variants only")
    parser.add_argument("--page-only", action="store_true", help="run nothing, write the page from the results")
    parser.set_defaults(call=run_studies)


def run_studies(args: argparse.Namespace) -> int:
    from ..study import load_study, run_study
    from ..study_page import write_page

    for file in args.studies:
        study = run_study(Path(file), args.seeds, args.only, args.passed_on, args.page_only)
        # the page shows all studies of the task, and what is done of each
        files = sorted({study.file, *study.file.parent.glob("study_*.yaml")})
        print(write_page([each for each in map(load_study, files) if each.task == study.task]))
    return 0
