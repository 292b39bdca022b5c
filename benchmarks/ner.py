"""What the library costs around the training of a tagger, and what it saves: each line is a ratio, the median of alternating pairs.

    python benchmarks/ner.py [--script run_ner.py] [--dataset eriktks/conll2003] [--model sentence-transformers/all-MiniLM-L6-v2]

Trainer's sentences a second against a bare loop over the same batches (aim: at least 0.95). With --script, the training tokens a second
against a copy of transformers' examples/pytorch/token-classification/run_ner.py at its defaults, on the same sentences, in batches of the
same size (aim: at least 1.5): each trains on the first 110 batches, less the time of a training on 10. The configuration is
recipes/ner/source_conll2003.yaml, in the precision that this machine trains in.
"""

import argparse
import json
import tempfile
from pathlib import Path

from pairs import RECIPES, load_recipe, show, show_trainer_against_bare_loop, time_script, time_trainer

from hf_recipes.arguments import RecipeParser, RecipeTrainingArguments
from hf_recipes.ner.data import LoadedSentences, load_sentences
from hf_recipes.ner.windows import make_windows
from hf_recipes.run import keep_freed_memory
from hf_recipes.training import RecipeTrainer

PAIRS, WARM_UP, STEPS = 5, 10, 100


def make_trainer(module, options: argparse.Namespace, data: LoadedSentences, folder: Path, steps: int) -> RecipeTrainer:
    """The trainer of the recipe, for one pass over the first sentences, so many that it makes `steps` steps."""
    words = [
        "--config",
        str(RECIPES / "ner/source_conll2003.yaml"),
        "--model",
        options.model,
        "--output_dir",
        str(folder),
    ]
    words += ["--eval_strategy", "no", "--save_strategy", "no", "--disable_tqdm", "true", "--max_steps", str(steps)]
    recipe, args = RecipeParser((module.NerArguments, RecipeTrainingArguments)).parse(words)
    tokenizer, sizes = module.load_tokenizer(recipe)
    model, _ = module.make_model(recipe, data, tokenizer, sizes)
    split = data.splits["train"].take(steps * options.batch_size)
    windows = make_windows(split, data.tags, tokenizer, **sizes).take(steps * options.batch_size)
    args.per_device_train_batch_size = options.batch_size
    return module.make_trainer(
        recipe, args, data, {"train": windows, "validation": windows.take(1)}, model, tokenizer, None
    )


def time_theirs(options: argparse.Namespace, data: LoadedSentences, folder: Path, steps: int) -> float:
    """The script trains once over the first sentences."""
    rows = data.splits["train"].take(steps * options.batch_size)
    train = "".join(json.dumps({"tokens": row["words"], "ner_tags": row["tags"]}) + "\n" for row in rows)
    return time_script(options.script, folder, options.model, train, options.batch_size, "--num_train_epochs", 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--script", help="a copy of run_ner.py")
    parser.add_argument("--dataset", default="eriktks/conll2003")
    parser.add_argument("--dataset_revision", default="refs/convert/parquet")
    parser.add_argument("--model", default="sentence-transformers/all-MiniLM-L6-v2")
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--pairs", type=int, default=PAIRS)
    options = parser.parse_args()
    keep_freed_memory()
    module, data = load_recipe("ner"), load_sentences(options.dataset, revision=options.dataset_revision)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def time_ours(steps: int) -> float:
            return time_trainer(make_trainer(module, options, data, folder / "run", steps))

        show_trainer_against_bare_loop(
            lambda: make_trainer(module, options, data, folder / "run", STEPS), options.pairs
        )
        if options.script:
            ratios = []
            for _ in range(options.pairs):
                theirs, ours = (
                    timed(WARM_UP + STEPS) - timed(WARM_UP)
                    for timed in (lambda steps: time_theirs(options, data, folder, steps), time_ours)
                )
                ratios.append(theirs / ours)
            show("training tokens a second / the script's", ratios, "at least 1.5")


if __name__ == "__main__":
    main()
