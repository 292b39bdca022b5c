"""What word vectors know and how songs use words: parts of a card. Words and counts are shown, never lyrics."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from ..model_card import Section
from .data import LoadedSongs
from .lexicon import score_words
from .modeling_word_vectors import WordVectorForSequenceClassification
from .semantics import (
    cluster_words,
    intrinsic_scores,
    marking_words,
    mean_agreement,
    neighbours,
    plot_map,
    shifted_words,
)
from .vectors import UNKNOWN_WORDS, WordVectors

TrainVectors = Callable[[Sequence[Sequence[str]]], WordVectors]
COMMON = 500  # words, the commonest, among which the surprising ones are looked for
SHOWN = 10


def describe_words(
    model: torch.nn.Module,
    songs: LoadedSongs,
    vectors: WordVectors,
    train: TrainVectors,
    lexicon: dict[str, float] | None,
    seed: int,
) -> tuple[list[Section], dict[str, Any]]:
    """The sections on words, and what of them goes to the results.

    Args:
        model: of the run.
        songs: the data; with years, the earlier and the later half of the training songs are compared.
        vectors: fitted on the training songs.
        train: fits vectors on other songs in the same way.
        lexicon: scores of words, if what the vectors know of them is to be measured.
        seed: of the folds of words and of the halves of songs.
    """
    intrinsic = intrinsic_scores(vectors)
    measured: dict[str, Any] = {"intrinsic": intrinsic}
    sections = [
        Section("What the vectors know", "The commonest words and their nearest by cosine.", neighbours(vectors)),
        Section(
            "Against people's judgment",
            "Pairs of words that people have judged, and analogies, where the vectors know all words of them.",
            intrinsic,
        ),
        Section("Clusters", f"The {COMMON} commonest words by k-means.", cluster_words(vectors, most=COMMON)),
    ]
    if songs.names is not None:
        sections.append(describe_marks(songs, vectors))
    elif isinstance(model, WordVectorForSequenceClassification):
        sections.append(describe_values_of_words(model, vectors))
    if "year" in songs.splits["train"].column_names:
        section, measured["agreement"] = describe_shift(songs, train, seed)
        sections.append(section)
    if lexicon:
        told = score_words(vectors, lexicon, seed=seed)
        measured["lexicon"] = {"words": told["words"], "heads": told["heads"]}
        sections.append(describe_lexicon(told))
    return sections, measured


def describe_marks(songs: LoadedSongs, vectors: WordVectors) -> Section:
    """The words that mark each class in the training songs, and where their vectors lie."""
    train = songs.splits["train"]
    found = marking_words(train["words"][:], [songs.names[label] for label in train["label"]])
    rows = [{"class": label, "words": ", ".join(word for word, _ in words)} for label, words in found.items()]
    picture = plot_map(vectors, {label: [word for word, _ in words] for label, words in found.items()})
    text = "Log-odds against the other classes with a prior (Monroe, Colaresi and Quinn 2008), of the training songs."
    return Section("Words that mark a class", text, rows, picture)


@torch.no_grad()
def describe_values_of_words(model: WordVectorForSequenceClassification, vectors: WordVectors) -> Section:
    """What a regression says of a text of one word."""
    numbers = torch.arange(min(COMMON, len(vectors.words))) + UNKNOWN_WORDS
    values = model(numbers[:, None].to(model.device)).logits[:, 0].cpu().numpy()
    order = np.argsort(values, kind="stable")
    rows = [
        {"lowest": vectors.words[low], "its value": float(values[low]), "highest": vectors.words[high], "value": float(values[high])}
        for low, high in zip(order[:SHOWN], order[::-1][:SHOWN])
    ]  # fmt: skip
    return Section("Values of words", f"Of texts of one word, among the {len(numbers)} commonest.", rows)


def describe_shift(songs: LoadedSongs, train: TrainVectors, seed: int) -> tuple[Section, dict[str, float]]:
    """How words differ between the earlier and the later half of the training songs, against halves that are drawn: so much differs
    where nothing but chance does."""
    split = songs.splits["train"]
    words, years = split["words"][:], np.array(split["year"])
    late = np.zeros(len(years), bool)
    late[np.argsort(years, kind="stable")[len(years) // 2 :]] = True
    drawn = np.random.default_rng(seed).permutation(late)
    title, spaces = "Words then and now", {}
    try:
        for name, chosen in (("time", late), ("chance", drawn)):
            spaces[name] = [train([each for each, inside in zip(words, mask) if inside]) for mask in (~chosen, chosen)]
        agreement = {name: mean_agreement(*both) for name, both in spaces.items()}
    except ValueError as error:  # too few words
        return Section(title, f"The halves of the songs cannot be compared: {error}."), {}
    text = (
        f"Word vectors of the earlier half of the songs (to about {years[late].min():.0f}) and of the later one, turned onto each other (orthogonal "
        f"Procrustes): a common word agrees with itself by a cosine of {agreement['time']:.2f} on average; between two halves that are "
        f"drawn it does by {agreement['chance']:.2f}. Where the two are close, the words below differ by chance."
    )
    return Section(title, text, shifted_words(*spaces["time"])), agreement


def describe_lexicon(told: dict[str, Any]) -> Section:
    """How well vectors tell the scores of words, and those of words that have none."""
    ranked = sorted(list(told["found"])[:COMMON], key=told["found"].get)
    text = (
        f"From the vectors of {told['words']:,} words to their scores in a lexicon, 0 to 1, by five folds. Of the {COMMON} commonest words that "
        f"it lacks, ridge finds the lowest scores for {', '.join(ranked[:8])} and the highest for {', '.join(ranked[-8:][::-1])}."
    )
    return Section("Sentiment of words", text, told["heads"])
