"""`hf-recipes`: use what the recipes made, and run their studies. Training itself is `accelerate launch recipes/...`."""

import argparse
import glob
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

from .errors import explain

DEVICE = "cpu, cuda, ...; an accelerator is used if there is one"


def at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"it is {text}, and has to be 1 or more")
    return number


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hf-recipes", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    on_images = argparse.ArgumentParser(add_help=False)
    on_images.add_argument("images", nargs="+", metavar="IMAGE", help="files, folders or URLs")
    on_images.add_argument("--model", required=True, help="folder of a run, or id on the Hub")
    on_images.add_argument("--json", action="store_true", help="print one JSON object per image")
    on_images.add_argument("--device", help=DEVICE)

    count = commands.add_parser(
        "count",
        parents=[on_images],
        help="count the cells in images",
        description="Count the cells in images.",
        epilog="example: hf-recipes count cells/*.png --model outputs/quickstart --json",
    )
    count.add_argument("--overlay", metavar="FILE", help="draw the density over the image; with several images, "
                       "FILE's name is followed by each image's")  # fmt: skip
    count.add_argument("--tile-size", type=int, default=512, help="larger images are counted in tiles of this side")
    count.set_defaults(call=count_images)

    classify = commands.add_parser(
        "classify",
        parents=[on_images],
        help="classify images",
        description="Print the likeliest classes of images with their probabilities.",
        epilog="example: hf-recipes classify photo.png --model outputs/cifar10_cnn --top 3",
    )
    classify.add_argument("--top", type=at_least_one, default=3, help="classes to show")
    classify.set_defaults(call=classify_images)

    upscale = commands.add_parser(
        "upscale",
        parents=[on_images],
        help="make images larger",
        description="Make images larger. Each is saved as NAME-xSCALE.png beside the original, or where --output says.",
        epilog="example: hf-recipes upscale photo.png --model outputs/super_resolution_light_x2 --output large.png",
    )
    upscale.add_argument("--output", metavar="PLACE", help="a file for one image, a folder for several")
    upscale.add_argument("--scale", type=int, help="what the result should be; an error if the model makes another")
    upscale.add_argument("--tile-size", type=int, help="pixels of a tile; the smaller, the less memory")
    upscale.add_argument(
        "--self-ensemble", action="store_true", help="the mean over turns and mirror images; 8 times the work"
    )
    upscale.set_defaults(call=upscale_images)

    tag = commands.add_parser(
        "tag",
        help="find the named entities in texts",
        description="Print the named entities in texts, with the places of their characters.",
        epilog='example: hf-recipes tag "Grete Hermann lived in Göttingen." --model outputs/ner_conll2003',
    )
    tag.add_argument("texts", nargs="+", metavar="TEXT", help="a text, or a file of one")
    tag.add_argument("--model", required=True, help="folder of a run, or id on the Hub")
    tag.add_argument(
        "--map", metavar="FILE.yaml", help="other names for the model's types, null for those to leave out"
    )
    tag.add_argument("--json", action="store_true", help="print one JSON object per text")
    tag.add_argument("--device", help=DEVICE)
    tag.set_defaults(call=tag_texts)

    tell = commands.add_parser(
        "classify-text",
        help="tell the class or the value of texts",
        description="Print the likeliest classes of texts with their probabilities, or the value of a regression.",
        epilog='example: hf-recipes classify-text "rain fall lonely street" --model outputs/lyrics_genre --top 2',
    )
    tell.add_argument("texts", nargs="+", metavar="TEXT", help="a text, or a file of one")
    tell.add_argument("--model", required=True, help="folder of a run, or id on the Hub")
    tell.add_argument("--top", type=at_least_one, default=3, help="classes to show")
    tell.add_argument("--json", action="store_true", help="print one JSON object per text")
    tell.add_argument("--device", help=DEVICE)
    tell.set_defaults(call=classify_texts)

    answer = commands.add_parser(
        "answer",
        help="answer questions by spans of a text",
        description="Print the answers to questions that a text holds, with their scores and places.",
        epilog='example: hf-recipes answer --question "Who wrote it?" --context book.txt --model outputs/question_answering_squad',
    )
    answer.add_argument("--question", nargs="+", required=True)
    answer.add_argument("--context", required=True, metavar="TEXT", help="a text, or a file of one")
    answer.add_argument("--model", required=True, help="folder of a run, or id on the Hub")
    answer.add_argument("--top", type=at_least_one, default=1, help="answers to show of each question")
    answer.add_argument("--json", action="store_true", help="print one JSON object per question")
    answer.add_argument("--device", help=DEVICE)
    answer.set_defaults(call=answer_questions)

    index = commands.add_parser(
        "index",
        help="make texts ready for questions",
        description="Cut texts into passages, embed them and save the index; an index that is there takes what is new or changed.",
        epilog="example: hf-recipes index book.txt --output outputs/book_index",
    )
    index.add_argument(
        "texts",
        nargs="+",
        metavar="TEXT",
        help="files, folders, addresses or data sets on the Hub of plain text, Markdown or HTML",
    )
    index.add_argument("--output", required=True, metavar="FOLDER", help="where the index is saved")
    index.add_argument("--embedder", help="id or folder of a model of sentence-transformers")
    index.add_argument("--chunking", help="characters, tokens, sentences, paragraphs, recursive, sliding or semantic")
    index.add_argument("--size", type=at_least_one, help="of a passage, in the chunking's unit")
    index.add_argument("--overlap", type=int, help="of two passages in a row")
    index.add_argument(
        "--titles",
        action="store_const",
        const=True,
        help="search passages with the titles of their sections before them",
    )
    index.add_argument("--device", help=DEVICE)
    index.set_defaults(call=index_texts)

    ask = commands.add_parser(
        "ask",
        help="answer questions from an index of texts",
        description="Answer questions from the passages of an index, with the places that the answer rests on.",
        epilog='example: hf-recipes ask outputs/book_index "Who lives in the tower?" --reader outputs/question_answering_passages',
    )
    ask.add_argument("index", metavar="INDEX", help="folder of an index, or id on the Hub")
    ask.add_argument("question", nargs="+")
    ask.add_argument(
        "--reader", required=True, help="folder or id of an extractive model, a chat model or an encoder-decoder"
    )
    ask.add_argument(
        "--prompt", default="plain", help="of a model that writes: plain, quote, steps, cite, or a file of one's own"
    )
    ask.add_argument("--embedder", help="that made the index, where it is no longer where it was then: id or folder")
    ask.add_argument("--method", default="hybrid", choices=["dense", "bm25", "hybrid"], help="how passages are found")
    ask.add_argument("--k", type=at_least_one, default=5, help="passages to read")
    ask.add_argument(
        "--least-score",
        type=float,
        help="below it nothing is answered; what the index knows of the reader if not given, else 0",
    )
    ask.add_argument("--explain", action="store_true", help="show each stage: passages, scores, prompt, seconds")
    ask.add_argument("--json", action="store_true", help="print one JSON object per question")
    ask.add_argument("--device", help=DEVICE)
    ask.set_defaults(call=ask_index)

    study = commands.add_parser(
        "study",
        help="run the variants of a study over seeds and write its page",
        description="Run what is not done of a study, and write model_cards/TASK.md from all results.",
        epilog="example: hf-recipes study recipes/cell_counting/study_3_synthetic.yaml. What says where the data lie or how a run is shown goes to "
        "every run after --: hf-recipes study STUDY.yaml -- --dataset my/cells",
    )
    study.add_argument("studies", nargs="+", metavar="STUDY.yaml")
    study.add_argument("--seeds", type=int, nargs="+", help="of the seeds that the file names, these only")
    study.add_argument("--only", nargs="+", metavar="VARIANT", help="run these variants only")
    study.add_argument("--page-only", action="store_true", help="run nothing, write the page from the results")
    study.set_defaults(call=run_studies)
    return parser


def main(argv: list[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    passed_on: list[str] = []
    if "--" in argv:
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


def count_images(args: argparse.Namespace) -> int:
    from . import CellCounter, CellCounterImageProcessor, CellCountingPipeline

    silence_transformers()
    images = expand(args.images)
    overlays = overlay_files(Path(args.overlay), images) if args.overlay else {}
    counter = CellCountingPipeline(
        model=CellCounter.from_pretrained(args.model),
        image_processor=CellCounterImageProcessor.from_pretrained(args.model),
        device=args.device,
    )

    def count(image: str) -> str:
        overlay = overlays.get(image)
        result = counter(image, tile_size=args.tile_size, return_overlay=overlay is not None)
        row = {"image": image, "count": round(result["count"], 2)}
        if overlay:
            result["overlay"].save(overlay)
            row["overlay"] = str(overlay)
        return json.dumps(row) if args.json else f"{row['count']:10.1f}  {image}"

    return print_each(images, count)


def overlay_files(file: Path, images: list[str]) -> dict[str, Path]:
    """`file` for one image; for several, a file for each: the image's name follows, and a number if that name is taken."""
    if len(images) == 1:
        return {images[0]: file}
    files: dict[str, Path] = {}
    for image in dict.fromkeys(images):
        name, number = f"{file.stem}-{Path(image).stem}", 1
        target = file.with_name(f"{name}{file.suffix or '.png'}")
        while target in files.values():
            number += 1
            target = target.with_stem(f"{name}-{number}")
        files[image] = target
    return files


def classify_images(args: argparse.Namespace) -> int:
    from transformers import (
        AutoConfig,
        AutoImageProcessor,
        AutoModelForImageClassification,
        ImageClassificationPipeline,
    )

    from . import CifarClassifier, PooledClassifier
    from .images import open_image, to_rgb

    silence_transformers()
    images = expand(args.images)
    for model_class in (CifarClassifier, PooledClassifier):  # so that no code of the repository is run
        AutoConfig.register(model_class.config_class.model_type, model_class.config_class, exist_ok=True)
        AutoModelForImageClassification.register(model_class.config_class, model_class, exist_ok=True)
    model = AutoModelForImageClassification.from_pretrained(args.model)
    classifier = ImageClassificationPipeline(
        model=model,
        image_processor=AutoImageProcessor.from_pretrained(args.model),
        device=args.device,
        top_k=min(args.top, model.config.num_labels),
    )

    def classify(image: str) -> str:
        classes = classifier(image if is_url(image) else to_rgb(open_image(image)))
        if args.json:
            return json.dumps({"image": image, "classes": classes})
        return "  ".join([image, *(f"{each['label']} {each['score']:.3f}" for each in classes)])

    return print_each(images, classify)


def upscale_images(args: argparse.Namespace) -> int:
    from . import SuperResolutionPipeline, SuperResolver

    silence_transformers()
    images = expand(args.images)
    upscaler = SuperResolutionPipeline(model=SuperResolver.from_pretrained(args.model), device=args.device)
    files = upscaled_files(images, args.output, upscaler.model.config.scale)

    def upscale(image: str) -> str:
        result = upscaler(image, scale=args.scale, tile_size=args.tile_size, self_ensemble=args.self_ensemble)
        save_whole(result, files[image])
        row = {"image": image, "output": str(files[image]), "width": result.width, "height": result.height}
        return json.dumps(row) if args.json else f"{files[image]}  {result.width} x {result.height}"

    return print_each(images, upscale)


def tag_texts(args: argparse.Namespace) -> int:
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    from .model_card import device_type
    from .ner.head import tags_of
    from .ner.labels import read_table, types_of
    from .ner.windows import find_entities
    from .pretrained import check_weights

    silence_transformers()
    model, info = AutoModelForTokenClassification.from_pretrained(args.model, output_loading_info=True)
    check_weights(model, info["missing_keys"], args.model, head_is_new=False)
    model = model.to(args.device or device_type()).eval()
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


# modes of images that a format keeps as they are
KEPT = {
    ".png": ("L", "LA", "RGB", "RGBA", "I;16"),
    ".tif": ("L", "LA", "RGB", "RGBA", "I;16"),
    ".tiff": ("L", "LA", "RGB", "RGBA", "I;16"),
    ".webp": ("RGB", "RGBA"),
    ".jpg": ("L", "RGB"),
    ".jpeg": ("L", "RGB"),
    ".bmp": ("L", "RGB"),
}
# what these formats would lose by default
SAVED = {
    ".jpg": {"quality": 95, "subsampling": 0},
    ".jpeg": {"quality": 95, "subsampling": 0},
    ".webp": {"lossless": True},
}


def upscaled_files(images: list[str], output: str | None, scale: int) -> dict[str, Path]:
    """The file that each image is saved as; never one of the images.

    Raises:
        ValueError: when `output` is one of them, one file for several images, or of a format that is not known.
    """
    originals = {Path(image).resolve() for image in images if not is_url(image)}
    if output is not None and Path(output).suffix and not Path(output).is_dir():
        if len(images) > 1:
            raise ValueError(f"--output {output} is one file for {len(images)} images; give a folder")
        if Path(output).suffix.lower() not in KEPT:
            raise ValueError(f"--output {output}: images are saved as {', '.join(KEPT)}")
        if Path(output).resolve() in originals:
            raise ValueError(f"--output {output} is the image itself; give another name")
        return {images[0]: Path(output)}
    files: dict[str, Path] = {}
    for image in dict.fromkeys(images):
        source = Path(image.split("?")[0]) if is_url(image) else Path(image)
        folder = Path(output) if output else Path() if is_url(image) else source.parent
        target, number = folder / f"{source.stem}-x{scale}.png", 1
        while target in files.values() or target.resolve() in originals:
            number += 1
            target = folder / f"{source.stem}-x{scale}-{number}.png"
        files[image] = target
    return files


def save_whole(image, file: Path) -> None:
    """Save an image under its name only when it is written; what stood there before stays if it cannot be.

    Raises:
        ValueError: when the format would lose 16 bits or an alpha channel.
    """
    if image.mode not in KEPT[file.suffix.lower()]:
        what = "16 bits" if image.mode == "I;16" else "this image's transparency" if "A" in image.mode else image.mode
        raise ValueError(f"{file.suffix} does not keep {what}; save it as .png")
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f"{file.stem}.part{file.suffix}")
    image.save(part, icc_profile=image.info.get("icc_profile"), **SAVED.get(file.suffix.lower(), {}))
    part.replace(file)


def silence_transformers() -> None:
    """So that nothing but results and errors is printed; failures are exceptions, and what transformers logs as an error
    beside them is that it does not know our model classes."""
    from transformers.utils import logging

    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()


def print_each(images: list[str], describe: Callable[[str], str]) -> int:
    """Print what `describe` says of each image; an image that fails is named, and the others go on. The exit status."""
    failed = False
    for image in images:
        try:
            print(describe(image), flush=True)
        except Exception as error:
            line = explain(error)
            if line is None:
                raise
            print(f"error: {line}" if image in line else f"error: {image}: {line}", file=sys.stderr)
            failed = True
    return int(failed)


def is_url(name: str) -> bool:
    return name.startswith(("http://", "https://"))


def expand(names: list[str]) -> list[str]:
    """Files, the images in folders, what patterns match, and URLs, in order."""
    suffixes = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp"}
    found = []
    for name in names:
        if is_url(name):
            found.append(name)
        elif Path(name).is_dir():
            inside = sorted(str(path) for path in Path(name).iterdir() if path.suffix.lower() in suffixes)
            if not inside:
                raise ValueError(f"the folder {name} holds no image ({', '.join(sorted(suffixes))})")
            found += inside
        elif Path(name).is_file():
            found.append(name)
        else:
            matches = sorted(glob.glob(name))
            if not matches:
                raise FileNotFoundError(f"no such image: {name}")
            found += matches
    return found


def classify_texts(args: argparse.Namespace) -> int:
    from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, TextClassificationPipeline

    from . import WordVectorConfig, WordVectorForSequenceClassification
    from .pretrained import check_weights

    silence_transformers()
    AutoConfig.register(
        WordVectorConfig.model_type, WordVectorConfig, exist_ok=True
    )  # so that no code of the repository is run
    AutoModelForSequenceClassification.register(WordVectorConfig, WordVectorForSequenceClassification, exist_ok=True)
    model, info = AutoModelForSequenceClassification.from_pretrained(args.model, output_loading_info=True)
    check_weights(model, info["missing_keys"], args.model, head_is_new=False)
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    tell = TextClassificationPipeline(
        model=model, tokenizer=tokenizer, device=args.device, top_k=args.top, truncation=True
    )

    def classify(name: str) -> str:
        text = read_text(name)
        (classes,) = tell([text])
        if args.json:
            return json.dumps({"text": text, "classes": classes})
        return "  ".join(f"{each['label']} {each['score']:.3f}" for each in classes)

    return print_each(args.texts, classify)


def answer_questions(args: argparse.Namespace) -> int:
    from transformers import AutoModelForQuestionAnswering, AutoTokenizer

    from . import QuestionAnsweringPipeline
    from .pretrained import check_weights

    silence_transformers()
    model, info = AutoModelForQuestionAnswering.from_pretrained(args.model, output_loading_info=True)
    check_weights(model, info["missing_keys"], args.model, head_is_new=False)
    answer = QuestionAnsweringPipeline(
        model=model, tokenizer=AutoTokenizer.from_pretrained(args.model), device=args.device
    )
    context = read_text(args.context)

    def ask(question: str) -> str:
        answers = answer(question=question, context=context, top_k=args.top)
        answers = answers if isinstance(answers, list) else [answers]
        if args.json:
            return json.dumps({"question": question, "answers": answers})
        return "\n".join(f"{each['score']:.3f} {each['start']}-{each['end']} {each['answer']}" for each in answers)

    return print_each(args.question, ask)


def index_texts(args: argparse.Namespace) -> int:
    from . import PassageIndex
    from .rag.documents import load_documents

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
    index.save_pretrained(args.output)
    print(f"{args.output}: {len(index.passages)} passages of {len(index.config['documents'])} texts")
    return 0


def ask_index(args: argparse.Namespace) -> int:
    from sentence_transformers import SentenceTransformer

    from . import PassageIndex, RagPipeline
    from .rag.readers import load_reader

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


def read_text(text_or_file: str) -> str:
    """A file's text, or the text itself. One word with a suffix or a slash that is no file is a mistyped name."""
    if os.path.isfile(text_or_file):
        return Path(text_or_file).read_text()
    if len(text_or_file.split()) == 1 and ("/" in text_or_file or re.search(r"\.[a-z]+$", text_or_file)):
        raise FileNotFoundError(f"no such file: {text_or_file}")
    return text_or_file


def run_studies(args: argparse.Namespace) -> int:
    from .study import load_study, run_study
    from .study_page import write_page

    for file in args.studies:
        study = run_study(Path(file), args.seeds, args.only, args.passed_on, args.page_only)
        # the page shows all studies of the task, and what is done of each
        siblings = [study.file.parent / path.name for path in sorted(study.file.parent.glob("study_*.yaml"))]
        print(write_page([load_study(path) for path in siblings]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
