"""What the library costs around a reader, and what it saves: each line is a ratio, the median of alternating pairs.

    python benchmarks/question_answering.py [--script run_qa.py] [--dataset rajpurkar/squad] [--model sentence-transformers/all-MiniLM-L6-v2]

Trainer's questions a second against a bare loop over the same batches (aim: at least 0.95), and against those with fused attention, which it
trains without on a processor; the evaluation of questions end to end, in fp32 as the test is and as validation is in training, against a
loop that pads every window to 384 tokens in fp32 (at least 3); the pipeline's time for 100 questions of a 20-page context against that of the
bare forward passes (at most 2). With --script, the training examples a second against a copy of transformers'
examples/pytorch/question-answering/run_qa.py on the same questions, in batches of the same size, at its defaults (at least 5) and in bf16 (at
least 2): each trains on 110 batches, less the time of a training on 10. Then both train on the same --compared questions for two epochs,
and F1 on 500 others is shown. The configuration is recipes/question_answering/squad.yaml, in the precision that this machine
trains in.
"""

import argparse
import contextlib
import json
import math
import tempfile
import time
from pathlib import Path

import torch
from datasets import Dataset
from pairs import RECIPES, load_recipe, run_script, show, show_trainer_against_bare_loop, time_script, time_trainer
from transformers import AutoModelForQuestionAnswering, AutoTokenizer

from hf_recipes import QuestionAnsweringPipeline
from hf_recipes.arguments import RecipeParser, RecipeTrainingArguments
from hf_recipes.question_answering.data import LoadedQuestions, load_questions
from hf_recipes.question_answering.pipeline_question_answering import encode_pairs
from hf_recipes.question_answering.windows import WindowCollator, make_windows
from hf_recipes.run import keep_freed_memory
from hf_recipes.training import RecipeTrainer

PAIRS, WARM_UP, STEPS, EVALUATED, ASKED, PAGES, WORDS_A_PAGE = 5, 10, 100, 500, 100, 20, 500
COMPARED, EPOCHS = 1000, 2


def make_trainer(
    module, options: argparse.Namespace, data: LoadedQuestions, folder: Path, steps: int, *words: str
) -> RecipeTrainer:
    """The trainer of the recipe, for one pass over the first windows, so many that it makes `steps` steps; `words` change its options."""
    words = [
        *words,
        "--config",
        str(RECIPES / "question_answering/squad.yaml"),
        "--model",
        options.model,
        "--output_dir",
        str(folder),
    ]
    words += ["--eval_strategy", "no", "--save_strategy", "no", "--disable_tqdm", "true", "--max_steps", str(steps)]
    words += ["--per_device_train_batch_size", str(options.batch_size)]
    recipe, args = RecipeParser((module.QuestionAnsweringArguments, RecipeTrainingArguments)).parse(words)
    tokenizer, number = AutoTokenizer.from_pretrained(options.model), steps * options.batch_size
    sizes = {"max_length": recipe.max_length, "stride": recipe.stride}
    splits = {
        "train": data.splits["train"].take(number),
        "validation": data.splits["test"].shuffle(seed=0).take(EVALUATED),
    }
    parts = {"train": 0, "validation": 1}
    windows = {name: make_windows(split, tokenizer, part=parts[name], **sizes) for name, split in splits.items()}
    windows["train"] = windows["train"].take(number)
    return module.make_trainer(recipe, args, {1: splits["validation"]}, windows, data, tokenizer)


def as_json(split: Dataset) -> str:
    """Questions as the script reads them."""
    rows = [
        {key: row[key] for key in ("id", "title", "question", "context")}
        | {"answers": {"text": row["answers"], "answer_start": row["starts"]}}
        for row in split
    ]
    return json.dumps({"data": rows})


def time_theirs(options: argparse.Namespace, data: LoadedQuestions, folder: Path, steps: int, *words: str) -> float:
    """The script trains for so many steps on the first questions."""
    train = as_json(data.splits["train"].take(steps * options.batch_size))
    return time_script(options.script, folder, options.model, train, options.batch_size, "--max_steps", steps, *words)


def show_quality(module, options: argparse.Namespace, data: LoadedQuestions, folder: Path) -> None:
    """F1 after as many epochs of the same questions, each by its own configuration."""
    train, test = data.splits["train"].take(options.compared), data.splits["test"].shuffle(seed=0).take(EVALUATED)
    (folder / "test.json").write_text(as_json(test))
    words = ["--num_train_epochs", EPOCHS, "--do_eval", "--validation_file", folder / "test.json"]
    output = run_script(options.script, folder, options.model, as_json(train), options.batch_size, *words)
    theirs = json.loads((output / "eval_results.json").read_text())["eval_f1"]
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    windows = make_windows(train, tokenizer, max_length=384, stride=128, training=True)
    steps = EPOCHS * math.ceil(len(windows) / options.batch_size)
    trainer = make_trainer(module, options, data, folder / "run", steps)
    trainer.train_dataset = windows
    trainer.train()
    ours = trainer.evaluate()["eval_f1"]
    print(f"F1 on {EVALUATED} questions after {EPOCHS} epochs of {len(train)}: {ours:.1f}, the script's {theirs:.1f}")


def time_fused(trainer: RecipeTrainer) -> float:
    trainer.plain_attention = contextlib.nullcontext
    return time_trainer(trainer)


def time_evaluation(trainer: RecipeTrainer) -> float:
    start = time.perf_counter()
    trainer.evaluate()
    return time.perf_counter() - start


@torch.no_grad()
def time_padded_loop(trainer: RecipeTrainer) -> float:
    """Forward passes alone, every window padded to 384 tokens, in fp32."""
    collate, windows = WindowCollator(trainer.processing_class, 384), trainer.eval_dataset
    batch_size, start = trainer.args.per_device_eval_batch_size, time.perf_counter()
    for first in range(0, len(windows), batch_size):
        batch = collate([windows[row] for row in range(first, min(first + batch_size, len(windows)))])
        trainer.model.eval()(**trainer.model_inputs(batch))
    return time.perf_counter() - start


@torch.no_grad()
def show_pipeline(options: argparse.Namespace, data: LoadedQuestions) -> None:
    model, tokenizer = (
        AutoModelForQuestionAnswering.from_pretrained(options.model).eval(),
        AutoTokenizer.from_pretrained(options.model),
    )
    paragraphs = dict.fromkeys(data.splits["test"]["context"][:])
    context = " ".join(" ".join(paragraphs).split()[: PAGES * WORDS_A_PAGE])
    questions, ratios = data.splits["test"]["question"][:ASKED], []
    answer = QuestionAnsweringPipeline(model=model, tokenizer=tokenizer)
    for _ in range(options.pairs):
        start = time.perf_counter()
        answer(question=questions, context=context, batch_size=16)
        whole, start = time.perf_counter() - start, time.perf_counter()
        for question in questions:
            windows = encode_pairs(tokenizer, [question], [context])
            inputs = {name: windows[name] for name in tokenizer.model_input_names if name in windows}
            for first in range(0, len(windows["input_ids"]), 16):
                rows = {name: values[first : first + 16] for name, values in inputs.items()}
                model(**tokenizer.pad(rows, return_tensors="pt"))
        ratios.append(whole / (time.perf_counter() - start))
    show("pipeline's time / bare forward passes'", ratios, "at most 2")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--script", help="a copy of run_qa.py")
    parser.add_argument("--dataset", default="rajpurkar/squad")
    parser.add_argument("--model", default="sentence-transformers/all-MiniLM-L6-v2")
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--compared", type=int, default=COMPARED, help="questions that both train on")
    parser.add_argument("--pairs", type=int, default=PAIRS)
    options = parser.parse_args()
    keep_freed_memory()
    module, data = load_recipe("question_answering"), load_questions(options.dataset)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def make(steps: int = STEPS, *words: str) -> RecipeTrainer:
            return make_trainer(module, options, data, folder / "run", steps, *words)

        show_trainer_against_bare_loop(make, options.pairs)
        ratios = [time_fused(make()) / time_trainer(make()) for _ in range(options.pairs)]
        show("questions a second with plain attention / with fused", ratios, "at least 1")
        for title, words in (("in fp32", ("--precision", "fp32")), ("as in training", ())):
            # a trainer that has evaluated keeps its precision, so that each has its own
            ratios = [time_padded_loop(make()) / time_evaluation(make(STEPS, *words)) for _ in range(options.pairs)]
            show(f"questions a second of the evaluation {title} / of the padded loop", ratios, "at least 3")
        if options.script:
            for title, words, aim in (("", (), "at least 5"), (" in bf16", ("--bf16",), "at least 2")):
                ratios = []
                for _ in range(options.pairs):
                    theirs, ours = (
                        timed(WARM_UP + STEPS) - timed(WARM_UP)
                        for timed in (
                            lambda steps: time_theirs(options, data, folder, steps, *words),  # noqa: B023
                            lambda steps: time_trainer(make(steps)),
                        )
                    )
                    ratios.append(theirs / ours)
                show(f"training examples a second / the script's{title}", ratios, aim)
            show_quality(module, options, data, folder)
    show_pipeline(options, data)


if __name__ == "__main__":
    main()
