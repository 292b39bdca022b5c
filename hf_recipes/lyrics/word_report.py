"""What word vectors know and how songs use words: parts of a card. Words and counts are shown, never lyrics."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from ..loading import draw_groups
from ..model_card import Section
from ..word_vectors import UNKNOWN_WORDS, WordVectors
from .data import LoadedSongs
from .lexicon import MEAN, score_words
from .modeling_word_vectors import WordVectorForSequenceClassification
from .semantics import (
    cluster_words,
    intrinsic_scores,
    marking_words,
    neighbours,
    plot_map,
    shifted_words,
    solved_analogies,
)

TrainVectors = Callable[[Sequence[Sequence[str]]], WordVectors]
COMMON = 500  # words, the commonest, among which the surprising ones are looked for
SHOWN = 10
FEWEST_SONGS = 60  # of a part whose words are looked at by themselves
ASKED = 4  # words whose neighbours are shown in each part
DRAWS = 3  # of parts that differ by chance alone


def describe_words(
    model: torch.nn.Module,
    songs: LoadedSongs,
    vectors: WordVectors,
    train: TrainVectors | None,
    lexicon: dict[str, float] | None,
    seed: int,
) -> tuple[list[Section], dict[str, Any]]:
    """The sections on words, and what of them goes to the results.

    Args:
        model: of the run.
        songs: the data.
        vectors: fitted on the training songs.
        train: fits vectors on other songs in the same way, if words are to be compared between parts of the training songs.
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
    if train is not None:
        shifts, measured["agreement"] = describe_shifts(songs, train, seed)
        sections += [*shifts, *describe_parts(songs, vectors, train)]
    if lexicon:
        told = score_words(vectors, lexicon, seed=seed)
        measured["lexicon"] = {"words": told["words"], "heads": told["heads"]}
        errors = {row["head"]: row["mean squared error"] for row in told["heads"]}
        measured |= {"lexicon_squared_error": errors["ridge"], "lexicon_squared_error_of_mean": errors[MEAN]}
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
    return Section(
        "Values of words",
        f"Of texts of one word, among the {len(numbers)} commonest. Their order counts and not their size: the network has learned from whole songs, "
        "whose means differ less than words do.",
        rows,
    )


def describe_shifts(songs: LoadedSongs, train: TrainVectors, seed: int) -> tuple[list[Section], dict[str, float]]:
    """How words differ between the two commonest classes of the training songs, and between the earlier and the later half where there
    are years."""
    split, found = songs.splits["train"], []
    words, labels, groups = split["words"][:], np.array(split["label"]), np.array(split["group"][:])
    if songs.names is not None and len(songs.names) > 1:
        first, second = np.argsort(-np.bincount(labels, minlength=len(songs.names)), kind="stable")[:2]
        chosen = np.flatnonzero((labels == first) | (labels == second))
        names = (songs.names[first], songs.names[second])
        part = [words[row] for row in chosen], labels[chosen] == second, groups[chosen]
        found.append(compare_parts("Words here and there", names, *part, train, seed))
    if "year" in split.column_names:
        years = np.array(split["year"])
        late = np.zeros(len(years), bool)
        late[np.argsort(years, kind="stable")[len(years) // 2 :]] = True
        names = (f"the songs up to about {years[late].min():.0f}", "the later ones")
        found.append(compare_parts("Words then and now", names, words, late, groups, train, seed))
    return [section for section, _ in found], {key: value for _, each in found for key, value in each.items()}


def compare_parts(
    title: str,
    names: tuple[str, str],
    words: Sequence[Sequence[str]],
    second: np.ndarray,
    groups: np.ndarray,
    train: TrainVectors,
    seed: int,
) -> tuple[Section, dict[str, float]]:
    """How words differ between two parts of the songs, against parts that are drawn: so much differs where nothing but chance does.

    Drawn parts keep groups whole, as those of an artist, which the real ones mostly do: an artist on both sides would make them alike.

    Args:
        title, names: of the section and of the two parts.
        words: of each song.
        second: `(songs,)`, whether it is in the second part.
        groups: `(songs,)`.
        train: fits vectors.
        seed: of the draws.

    Returns:
        The section, and the agreement of a word with itself between the parts and between drawn ones; empty where there are too few words.
    """
    compared = []
    try:
        drawn = [draw_groups(groups, float(second.mean()), DRAWS * seed + number) for number in range(DRAWS)]
        for mask in (second, *drawn):
            sides = ([each for each, inside in zip(words, mask) if inside == side] for side in (False, True))
            compared.append(shifted_words(*map(train, sides)))
    except ValueError as error:  # too few words
        return Section(title, f"{names[0]} and {names[1]} cannot be compared: {error}."), {}
    (agreement, rows), *others = compared
    drawn = [each for each, _ in others]
    text = (
        f"Word vectors of {names[0]} (before) and of {names[1]} (after), turned onto each other (orthogonal Procrustes): a common word agrees "
        f"with itself by a cosine of {agreement:.2f} on average; between {DRAWS} pairs of parts of about the same sizes whose artists, or other groups, "
        f"are drawn it does by {min(drawn):.2f} to {max(drawn):.2f}. Where they "
        "are close, the words below differ by chance."
    )
    return Section(title, text, rows), {title: agreement, f"{title}, drawn": float(np.mean(drawn))}


def describe_parts(songs: LoadedSongs, vectors: WordVectors, train: TrainVectors) -> list[Section]:
    """Neighbours and analogies in vectors of the training songs of each class, and of each decade where there are years."""
    split, kinds = songs.splits["train"], {}
    if songs.names is not None:
        kinds["class"] = [songs.names[label] for label in split["label"]]
    if "year" in split.column_names:
        kinds["decade"] = [f"{int(year) // 10 * 10}s" for year in split["year"]]
    return [
        Section(
            f"Words by {kind}",
            f"The nearest words of the {ASKED} commonest, and how many analogies are solved of those whose words are all known, by vectors of the "
            f"songs of each {kind} alone; none of fewer than {FEWEST_SONGS} songs.",
            [
                row_of_part(kind, part, [words for words, each in zip(split["words"][:], parts) if each == part], vectors.words, train)
                for part in sorted(set(parts))
            ],
        )
        for kind, parts in kinds.items()
    ]  # fmt: skip


def row_of_part(
    kind: str, part: str, documents: list[list[str]], words: Sequence[str], train: TrainVectors
) -> dict[str, Any]:
    row: dict[str, Any] = {kind: part, "songs": len(documents)}
    if len(documents) < FEWEST_SONGS:
        return row
    found = train(documents)
    keyed = found.to_gensim()
    for word in words[:ASKED]:
        row[word] = ", ".join(other for other, _ in keyed.most_similar(word, topn=5)) if word in keyed else ""
    solved, known = solved_analogies(found)
    return row | {"analogies": f"{solved} of {known}"}


def describe_lexicon(told: dict[str, Any]) -> Section:
    """How well vectors tell the scores of words, and those of words that have none."""
    ranked = sorted(list(told["found"])[:COMMON], key=told["found"].get)
    text = (
        f"From the vectors of {told['words']:,} words to their scores in a lexicon, 0 to 1, by five folds. Of the {COMMON} commonest words that "
        f"it lacks, ridge finds the lowest scores for {', '.join(ranked[:8])} and the highest for {', '.join(ranked[-8:][::-1])}."
    )
    return Section("Sentiment of words", text, told["heads"])
