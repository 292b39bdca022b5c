"""Questions, contexts and answers: load, check, bring to rows, draw a validation split."""

import json
import logging
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from datasets import Dataset, DatasetDict, Features, List, Value
from sklearn.feature_extraction.text import TfidfVectorizer

from ..loading import check_shares, draw_groups, hub_revision, load_splits
from ..questions import articles_of

logger = logging.getLogger(__name__)

LIKE = 20  # a wrong context is one of so many that are most like the question
FEATURES = Features(
    {
        "id": Value("string"),
        "title": Value("string"),
        "question": Value("string"),
        "context": Value("string"),
        "answers": List(Value("string")),
        "starts": List(Value("int32")),
        "index": Value("int32"),
    }
)


class LoadedQuestions(NamedTuple):
    """Questions in splits.

    Args:
        splits: `train`, `validation` and `test`, each with the columns of `FEATURES`: the texts of the answers and where they start in the
            context, in characters; none for a question that has no answer there.
        tested_on: what the test is where it is not the data set's own test split, else None.
        revision: the commit of the data set on the Hub, if it came from there.
    """

    splits: DatasetDict
    tested_on: str | None
    revision: str | None


def load_questions(
    dataset: str,
    *,
    config: str | None = None,
    revision: str | None = None,
    validation_share: float = 0.1,
    test_share: float = 0.1,
    train_questions: int | None = None,
    test_questions: int | None = None,
    drop_bad_answers: bool = False,
    seed: int = 0,
) -> LoadedQuestions:
    """Questions of any data set in SQuAD's form: rows of `context`, `question` and `answers` with `text` and `answer_start`, or SQuAD's own
    nested JSON.

    A data set without a test split is tested on its validation split, as SQuAD is; the validation is then drawn from the training questions,
    whole articles where they are named, else whole contexts, so that none is in both.

    Args:
        dataset: a Hub id, a folder that `load_dataset` reads, or, in SQuAD's form, a folder of `train*.json` and `dev*.json` (or
            `validation*`, `test*`), or one file to train on.
        config, revision: of a data set on the Hub: which of several it holds, and its branch, tag or commit.
        validation_share, test_share: of the training questions, where the data set has no such split.
        train_questions, test_questions: so many of them train and test, drawn by the seed; all where None.
        drop_bad_answers: leave out training questions with an answer that is not in the context where it should start, instead of an error.
        seed: of the draws.

    Raises:
        FileNotFoundError, ValueError: naming the data set, split and row, and what to do.
    """
    check_shares(validation_share, test_share, 1.0)
    splits = find_nested(Path(dataset))
    found = None
    if not splits:
        loaded = load_splits(dataset, config, revision)
        found = hub_revision(next(iter(loaded.values())))
        splits = {name: flatten(split, name) for name, split in loaded.items()}
    if "train" not in splits:
        raise ValueError(f"{dataset} has the splits {', '.join(splits) or 'none'}; 'train' is needed")
    if "test" in splits and not any(text for texts in splits["test"]["answers"][:] for text in texts):
        logger.warning("The test split has no answers and is not used")
        del splits["test"]
    chosen = {
        name: check_answers(splits[name], name, drop_bad_answers and name == "train")
        for name in ("train", "validation", "test")
        if name in splits
    }
    tested_on = None
    if "test" not in chosen and "validation" in chosen:
        chosen["test"], tested_on = chosen.pop("validation"), "its validation split"
    if "test" not in chosen:
        tested_on = f"{test_share:.0%} of the questions, drawn by article and the seed"
        chosen["train"], chosen["test"] = draw(chosen["train"], test_share, seed)
    if "validation" not in chosen:
        chosen["train"], chosen["validation"] = draw(chosen["train"], validation_share, seed)
    for name, wanted in (("train", train_questions), ("test", test_questions)):
        if wanted is not None:
            if not 0 < wanted <= len(chosen[name]):
                raise ValueError(f"--{name}_questions is {wanted}; there are {len(chosen[name])}")
            chosen[name] = chosen[name].shuffle(seed=seed).take(wanted)
    if test_questions is not None:
        tested_on = f"{test_questions:,} questions, drawn by the seed, of {tested_on or 'its test split'}"
    return LoadedQuestions(DatasetDict(chosen), tested_on, found)


def find_nested(place: Path) -> dict[str, Dataset]:
    """Splits from the files of a folder in SQuAD's nested form, by the beginnings of their names; the only one of a file is `train`."""
    names = {"train": "train", "dev": "validation", "validation": "validation", "test": "test"}
    files: dict[str, Path] = {}
    alone = place.is_file() and place.suffix.lower() == ".json"
    for file in [place] if alone else sorted(place.glob("*.json")):
        split = (
            "train" if file == place else next((names[start] for start in names if file.name.startswith(start)), None)
        )
        with file.open() as stream:
            if split is None or not stream.read(64).lstrip().startswith("{"):
                continue
        try:
            table = json.loads(file.read_text())
        except json.JSONDecodeError:
            continue  # a row a line, which `load_dataset` reads
        if isinstance(table.get("data"), list):
            if split in files:
                raise ValueError(
                    f"{files[split]} and {file} are both the {split} split; leave one of them in the folder"
                )
            files[split] = file
    return {split: unfold(json.loads(file.read_text())["data"], file) for split, file in files.items()}


def unfold(articles: list[dict[str, Any]], file: Path) -> Dataset:
    rows: dict[str, list[Any]] = {name: [] for name in FEATURES}
    for number, article in enumerate(articles):
        try:
            for paragraph in article["paragraphs"]:
                for question in paragraph["qas"]:
                    answers = question.get("answers") or []
                    rows["id"].append(str(question["id"]))
                    rows["title"].append(article.get("title") or "")
                    rows["question"].append(question["question"])
                    rows["context"].append(paragraph["context"])
                    rows["answers"].append([answer["text"] for answer in answers])
                    rows["starts"].append([answer["answer_start"] for answer in answers])
                    rows["index"].append(len(rows["index"]))
        except (KeyError, TypeError) as error:
            raise ValueError(f"{file}: article {number} is not in SQuAD's form ({error!r} is missing)") from error
    return Dataset.from_dict(rows, features=FEATURES)


def flatten(split: Dataset, name: str) -> Dataset:
    """Rows of any flat data set in the columns of `FEATURES`."""
    missing = {"question", "context", "answers"} - set(split.column_names)
    if missing:
        raise ValueError(
            f"{name} has no column {', '.join(sorted(missing))}; it has {', '.join(split.column_names)}. Rows of SQuAD's form have context, "
            "question, and answers with text and answer_start"
        )
    answers = [answer or {"text": [], "answer_start": []} for answer in split["answers"][:]]
    for row, answer in enumerate(answers):
        parts = [answer.get(part) for part in ("text", "answer_start")] if isinstance(answer, dict) else [None]
        if not all(isinstance(part, list) for part in parts):
            raise ValueError(f"row {row} of {name}: answers is {answer!r}; it has text and answer_start, both lists")
    rows = {column: split[column][:] for column in ("question", "context")}
    rows["id"] = (
        [str(each) for each in split["id"]] if "id" in split.column_names else [str(n) for n in range(len(split))]
    )
    titles = split["title"] if "title" in split.column_names else [""] * len(split)
    rows["title"] = [title or "" for title in titles]
    rows["answers"] = [list(each["text"]) for each in answers]
    rows["starts"] = [list(each["answer_start"]) for each in answers]
    return Dataset.from_dict(rows | {"index": list(range(len(split)))}, features=FEATURES)


def check_answers(split: Dataset, name: str, drop: bool) -> Dataset:
    """Every answer stands in its context where it says, and neither question nor context is empty."""
    bad = []
    for row in split:
        where = f"row {row['index']} of {name} (id {row['id']})"
        for field in ("question", "context"):
            if not (row[field] or "").strip():
                raise ValueError(f"{where}: the {field} is empty")
        if len(row["answers"]) != len(row["starts"]):
            raise ValueError(f"{where}: {len(row['answers'])} answers and {len(row['starts'])} starts")
        for text, start in zip(row["answers"], row["starts"]):
            if text is None or start is None:
                raise ValueError(f"{where}: an answer is {text!r} at {start!r}; it is a text and a number")
            there = row["context"][start : start + len(text)] if start >= 0 else ""
            if not text.strip() or there != text:
                bad.append(
                    (
                        row["index"],
                        f"{where}: the answer {text!r} is not at character {start} of the context, where {there!r} is",
                    )
                )
                break
    if bad and not drop:
        raise ValueError(
            f"{bad[0][1]} ({len(bad)} such rows); mend them"
            + (", or leave them out with --drop_bad_answers true" if name == "train" else "")
        )
    if bad:
        logger.warning(
            "%d questions of %s are left out: an answer is not where it should be, such as %s",
            len(bad),
            name,
            bad[0][1],
        )
        dropped = {index for index, _ in bad}
        split = split.select([place for place, index in enumerate(split["index"]) if index not in dropped])
    return split


def with_wrong_contexts(split: Dataset, number: int, seed: int, contexts: list[str] | None = None) -> Dataset:
    """The questions, each with contexts that do not answer it; no rows where there are none.

    A reader of SQuAD v1.1 has never seen a text that does not answer. SQuAD 2.0 (Rajpurkar et al. 2018) had people write questions without an
    answer; here the contexts are others, drawn among those most like the question, as a search would find them (Clark and Gardner 2018).

    Args:
        split: rows of `load_questions`.
        number: contexts for each question; fewer where fewer are without the words of an answer.
        seed: of the draw.
        contexts: to choose from; those of the split where None.
    """
    generator = np.random.default_rng(seed)
    contexts = list(dict.fromkeys(contexts or split["context"][:]))
    lowered = [context.lower() for context in contexts]
    vectorizer = TfidfVectorizer(sublinear_tf=True)
    table = vectorizer.fit_transform(contexts)
    wrong: dict[str, list[Any]] = {name: [] for name in FEATURES}
    for batch in split.iter(512):
        likeness = (vectorizer.transform(batch["question"]) @ table.T).toarray()
        for place, nearest in enumerate(np.argsort(-likeness, axis=1, kind="stable")[:, : LIKE + 1]):
            row = {name: values[place] for name, values in batch.items()}
            answers = [text.lower() for text in row["answers"]]
            others = [
                each
                for each in nearest
                if contexts[each] != row["context"] and not any(answer in lowered[each] for answer in answers)
            ]
            for each in generator.permutation(others)[:number]:
                again = row | {"id": f"{row['id']}-{each}", "context": contexts[each], "answers": [], "starts": []}
                for name, values in wrong.items():
                    values.append(again[name])
    return Dataset.from_dict(wrong, features=FEATURES)


def number_articles(split: Dataset) -> np.ndarray:
    """`(questions,)`: the number of the article that a question is about (see `articles_of`)."""
    texts = articles_of(split["title"][:], split["context"][:])
    numbers = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    return np.array([numbers[text] for text in texts])


def draw(split: Dataset, share: float, seed: int) -> tuple[Dataset, Dataset]:
    """The rest, and a share of the questions, whole articles (see `number_articles`)."""
    groups = number_articles(split)
    number = groups.max() + 1
    if number < 2:
        raise ValueError(f"{len(split)} questions about {number} context are too few to draw splits from")
    drawn = draw_groups(groups, share, seed)
    return split.select(np.flatnonzero(~drawn)), split.select(np.flatnonzero(drawn))
