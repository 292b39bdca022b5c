"""Questions with the passages that answer them: load, check, and draw a validation part by article."""

import logging
from typing import NamedTuple

import numpy as np
from datasets import Dataset

from ..loading import check_shares, draw_groups, hub_revision, load_splits
from ..questions import articles_of
from .ranking import RankingTest

logger = logging.getLogger(__name__)


class LoadedPairs(NamedTuple):
    """Pairs of questions and passages.

    Args:
        train: columns `question` and `passage`.
        validation, test: questions, each against all passages of its split.
        tested_on: what the test is where it is not the data set's own test split, else None.
        revision: the commit of the data set on the Hub, if it came from there.
    """

    train: Dataset
    validation: RankingTest
    test: RankingTest
    tested_on: str | None
    revision: str | None


def load_pairs(
    dataset: str,
    *,
    config: str | None = None,
    revision: str | None = None,
    question_column: str = "question",
    passage_column: str = "context",
    article_column: str = "title",
    validation_share: float = 0.1,
    test_share: float = 0.1,
    train_pairs: int | None = None,
    seed: int = 0,
) -> LoadedPairs:
    """Pairs of any data set that has a column of questions and one of the passages that answer them.

    A data set without a test split is tested on its validation split, as SQuAD is; validation and test are drawn from the training pairs,
    whole articles, where there is no such split; single passages where articles are few or have no title.

    Args:
        dataset: a Hub id, or a folder or file that `load_dataset` reads.
        config, revision: of a data set on the Hub: which of several it holds, and its branch, tag or commit.
        question_column, passage_column, article_column: names; without a title, a passage is an article of its own.
        validation_share, test_share: of the questions.
        train_pairs: so many of them train, drawn by the seed; all where None.
        seed: of the draws.

    Raises:
        FileNotFoundError, ValueError: naming the column, split or row, and what to do.
    """
    check_shares(validation_share, test_share, 1.0)
    loaded = load_splits(dataset, config, revision)
    if "train" not in loaded:
        raise ValueError(f"{dataset} has the splits {', '.join(loaded)}; 'train' is needed")
    found = hub_revision(loaded["train"])
    columns = (question_column, passage_column, article_column)
    splits = {
        name: read_split(loaded[name], name, *columns) for name in ("train", "validation", "test") if name in loaded
    }
    tested_on = None
    if "test" not in splits and "validation" in splits:
        splits["test"], tested_on = splits.pop("validation"), "its validation split"
    if "test" not in splits:
        tested_on = f"{test_share:.0%} of the questions, drawn by article and the seed"
        splits["train"], splits["test"] = draw_articles(splits["train"], test_share, seed)
    if "validation" not in splits:
        splits["train"], splits["validation"] = draw_articles(splits["train"], validation_share, seed)
    train = splits["train"].remove_columns("article")
    if train_pairs is not None:
        if not 0 < train_pairs <= len(train):
            raise ValueError(f"--train_pairs is {train_pairs}; there are {len(train)}")
        train = train.shuffle(seed=seed).take(train_pairs)
    tests = (make_test(splits[name]) for name in ("validation", "test"))
    return LoadedPairs(train, *tests, tested_on, found)


def read_split(split: Dataset, name: str, question_column: str, passage_column: str, article_column: str) -> Dataset:
    """Columns `question`, `passage` and `article`, all filled; rows that say the same twice are left out."""
    for option, column in (("--question_column", question_column), ("--passage_column", passage_column)):
        if column not in split.column_names:
            raise ValueError(
                f"{name} has no column {column!r}; it has {', '.join(split.column_names)}. Choose with {option}"
            )
    questions, passages = list(split[question_column]), list(split[passage_column])
    for column, texts in ((question_column, questions), (passage_column, passages)):
        empty = next((row for row, text in enumerate(texts) if not isinstance(text, str) or not text.strip()), None)
        if empty is not None:
            raise ValueError(f"row {empty} of {name}: {column} holds no text; fill it, or leave the row out")
    titles = list(split[article_column]) if article_column in split.column_names else [None] * len(passages)
    articles = list(map(str, articles_of(titles, passages)))
    first = {pair: row for row, pair in reversed(list(enumerate(zip(questions, passages))))}
    if len(first) < len(questions):
        logger.warning(
            "%d rows of %s say the same as an earlier one and are left out", len(questions) - len(first), name
        )
    kept = sorted(first.values())
    return Dataset.from_dict(
        {
            "question": [questions[row] for row in kept],
            "passage": [passages[row] for row in kept],
            "article": [articles[row] for row in kept],
        }
    )


def draw_articles(split: Dataset, share: float, seed: int) -> tuple[Dataset, Dataset]:
    """The rest, and a share of the questions, whole articles."""
    articles = list(split["article"])
    if len(set(articles)) < 2:
        raise ValueError(f"{len(articles)} questions about one article are too few to draw splits from")
    drawn = draw_groups(np.array(articles), share, seed)
    return split.select(np.flatnonzero(~drawn)), split.select(np.flatnonzero(drawn))


def make_test(split: Dataset) -> RankingTest:
    passages = {passage: number for number, passage in enumerate(dict.fromkeys(split["passage"]))}
    return RankingTest(
        questions=list(split["question"]),
        passages=list(passages),
        right=np.array([passages[passage] for passage in split["passage"]]),
        articles=list(split["article"]),
    )
