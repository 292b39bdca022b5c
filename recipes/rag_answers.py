"""Ask gold questions about a text: how well are their places found, and how well are they answered.

    accelerate launch --num_processes 1 recipes/rag_answers.py --config recipes/rag/answers.yaml --dataset BOOK.txt

The reader of that file is trained by `recipes/question_answering.py --config recipes/question_answering/passages.yaml`. The text is a file, a folder, an address or a data set on the Hub; the questions are JSON lines as in `recipes/rag/winnie_the_pooh.jsonl`.
`--help` explains every option.
"""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from transformers import set_seed

from hf_recipes import PassageIndex, RagPipeline
from hf_recipes.arguments import DatasetArguments, RecipeTrainingArguments, check_ranges
from hf_recipes.checkpoints import read_json, write_json
from hf_recipes.model_card import describe_hardware
from hf_recipes.publishing import publish_folder
from hf_recipes.rag.documents import load_documents
from hf_recipes.rag.evaluation import answer_all, resident_megabytes, search_all
from hf_recipes.rag.index import check_portable, forget_local_models
from hf_recipes.rag.questions import load_questions
from hf_recipes.rag.readers import load_reader, load_reranker
from hf_recipes.rag.report import make_report, summarize, write_page
from hf_recipes.run import RECIPE_FILE, RESULTS_FILE, check_folder, launch, run_settings, write_recipe
from hf_recipes.training import NOT_PUBLISHED, SETTINGS_FILE

# the least and the most that options can be
RANGES = {
    "size": (1, None),
    "overlap": (0, None),
    "rank_constant": (0, None),
    "pool": (1, None),
    "relevance": (0, 1),
    "k": (1, None),
    "budget": (1, None),
    "evidence_budget": (1, None),
}


@dataclass
class RagAnswersArguments(DatasetArguments):
    """Index a text, ask it gold questions, and write what was found into the card of the index."""

    questions: str = field(default="", metadata={"help": "File of gold questions about the text."})
    embedder: str = field(
        default="sentence-transformers/all-MiniLM-L6-v2",
        metadata={"help": "Gives the vectors: id or folder of a model of sentence-transformers."},
    )
    chunking: str = field(
        default="recursive",
        metadata={"help": "characters, tokens, sentences, paragraphs, recursive, sliding or semantic."},
    )
    size: int | None = field(
        default=None, metadata={"help": "Of a passage, in the chunking's unit; its own if not given."}
    )
    overlap: int | None = field(
        default=None, metadata={"help": "Of two passages in a row, in the same unit; likewise."}
    )
    titles: bool = field(
        default=False, metadata={"help": "Search passages with the titles of their sections before them."}
    )
    method: Literal["dense", "bm25", "hybrid"] = field(
        default="hybrid", metadata={"help": "By vectors, by words, or by both."}
    )
    rank_constant: int = field(
        default=60, metadata={"help": "hybrid: the smaller, the more the first ranks of both count."}
    )
    pool: int = field(default=50, metadata={"help": "Passages that are ranked, and that the later stages choose from."})
    rerank: str | None = field(
        default=None, metadata={"help": "Extractive reader or cross-encoder that ranks the pool anew: id or folder."}
    )
    relevance: float | None = field(
        default=None, metadata={"help": "Of maximal marginal relevance: the weight of being near to the question."}
    )
    reader: str | None = field(
        default=None, metadata={"help": "Reads the passages: id or folder; none measures the search alone."}
    )
    prompt: str = field(default="plain", metadata={"help": "Of a reader that writes: a name, or the path of a file."})
    k: int = field(default=5, metadata={"help": "Passages to read."})
    budget: int = field(default=1200, metadata={"help": "Tokens of passages that the reader is given at most."})
    evidence_budget: int = field(default=2000, metadata={"help": "Characters of passages for the evidence recall."})
    judge: str = field(
        default="sentence-transformers/all-MiniLM-L6-v2",
        metadata={"help": "Its cosine of an answer and a gold one is the semantic match, whatever the embedder is."},
    )


def main(recipe: RagAnswersArguments, args: RecipeTrainingArguments) -> dict[str, Any]:
    if args.world_size > 1:
        raise ValueError(
            f"{args.world_size} processes were started; questions are asked by one, so start it without them"
        )
    check_ranges(recipe, RANGES)
    if args.push_to_hub:
        check_portable(recipe.embedder)
    set_seed(args.seed)
    folder, settings = Path(args.output_dir), run_settings(recipe, args)
    check_folder(folder, settings)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / SETTINGS_FILE, settings)
    about = recipe.dataset_name or "the text", recipe.dataset_url or "private"
    write_recipe(folder / RECIPE_FILE, settings["options"], *about)
    results = read_json(folder / RESULTS_FILE)
    if results is None:
        results = measure(recipe, args, folder) | {"settings": settings["digest"], "seed": args.seed}
        write_json(folder / RESULTS_FILE, results)
    if args.push_to_hub:
        name = args.hub_model_id or folder.name
        forget_local_models(folder)
        publish_folder(
            folder,
            name,
            "Index of passages",
            leave_out=NOT_PUBLISHED,
            token=args.hub_token,
            private=args.hub_private_repo,
            revision=args.hub_revision,
        )
    return results


def measure(recipe: RagAnswersArguments, args: RecipeTrainingArguments, folder: Path) -> dict[str, Any]:
    documents, device = load_documents(recipe.dataset, recipe.dataset_revision), str(args.device)
    document, questions = load_questions(Path(recipe.questions), documents)
    memory = {"the libraries": resident_megabytes()}
    reader = load_reader(recipe.reader, recipe.prompt, device) if recipe.reader else None
    search = {
        "method": recipe.method,
        "pool": recipe.pool,
        "rank_constant": recipe.rank_constant,
        "relevance": recipe.relevance,
        "rerank": load_reranker(recipe.rerank, device) if recipe.rerank else None,
    }
    memory["the reader"] = resident_megabytes()
    began = time.monotonic()
    index = PassageIndex.build(
        documents,
        embedder=recipe.embedder,
        kind=recipe.chunking,
        size=recipe.size,
        overlap=recipe.overlap,
        titles=recipe.titles,
        device=device,
    )
    index.save_pretrained(folder)
    indexing = time.monotonic() - began
    index = PassageIndex.from_pretrained(folder, embedder=index.embedder)  # what is measured is what is kept
    memory["the index"] = resident_megabytes()
    measured = search_all(index, questions, document, search, recipe.evidence_budget)
    if reader:
        # every score is kept, from which the least one to believe is fitted
        rag = RagPipeline(index, reader, k=recipe.k, budget=recipe.budget, least_score=0.0, **search)
        answer_all(rag, measured, document, recipe.judge, folder)
    results = summarize(measured, indexing, reader.least_score if reader else 0.0) | {"passages": len(index.passages)}
    if reader:
        names = ("reader", "prompt", "k", "method", "rerank", "relevance", "pool", "rank_constant", "budget")
        index.remember(**{name: getattr(recipe, name) for name in names}, least_score=results["least_score"])
        index.save_pretrained(folder)
    write_page(index, make_report(measured, document, results, memory), results, folder)
    precision = reader.precision if reader else "fp32"
    return results | {"precision": precision, "hardware": describe_hardware(args.device)}


if __name__ == "__main__":
    launch(main, RagAnswersArguments)
