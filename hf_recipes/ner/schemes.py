"""Schemes of tags, by which words say where the entities are, and the entities that they mean.

A tag is `O`, or a letter that says where in an entity a word stands and the entity's type: `B-PER`. Which letters there are is the
scheme:

    IO      I everywhere; two entities of a type side by side cannot be told apart
    IOB1    I everywhere, B only where an entity follows one of its own type (Ramshaw and Marcus 1995)
    IOB2    B at the beginning of every entity, I inside (CoNLL-2002)
    BIOES   as IOB2, with E at the end and S for entities of one word
    BILOU   the same with L for E and U for S (Ratinov and Roth 2009)
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

# the letters of each scheme: (the only word, the first, one between, the last)
LETTERS = {
    "IO": ("I", "I", "I", "I"),
    "IOB1": ("I", "I", "I", "I"),
    "IOB2": ("B", "B", "I", "I"),
    "BIOES": ("S", "B", "I", "E"),
    "BILOU": ("U", "B", "I", "L"),
}
SCHEMES = tuple(LETTERS)


class Entity(NamedTuple):
    """The words `start` to before `end`, of a type."""

    type: str
    start: int
    end: int


def split_tag(tag: str) -> tuple[str, str]:
    """`B-PER` is `("B", "PER")`, `O` is `("O", "")`.

    Raises:
        ValueError: for anything else.
    """
    letter, _, kind = tag.partition("-")
    if tag == "O" or (kind and letter in ("B", "I", "E", "S", "L", "U")):
        return letter, kind
    raise ValueError(f"{tag!r} is no tag: it is O, or one of B, I, E, S, L and U, a hyphen and a type, such as B-PER")


def parse_tags(tags: Sequence[str], scheme: str = "IOB2", repair: bool = False) -> list[Entity]:
    """The entities that tags mean.

    Args:
        tags: of the words of a sentence.
        scheme: one of `SCHEMES`.
        repair: take a tag that cannot stand where it does for what it most likely means: one inside an entity that has not begun
            begins it, and an entity that does not end ends before the next. This is how CoNLL's own script reads tags.

    Raises:
        ValueError: naming the word, when the tags are not in the scheme.
    """
    alphabet = {"O", *LETTERS[scheme], *(["B"] if scheme == "IOB1" else [])}
    entities: list[Entity] = []
    start, open_type = 0, ""  # of the entity that has begun and not ended

    def fail(place: int, why: str) -> None:
        if not repair:
            raise ValueError(f"word {place}: {tags[place]!r} {why} in {scheme}; convert the tags, or give their scheme")

    def close(end: int) -> None:
        nonlocal open_type
        if open_type:
            entities.append(Entity(open_type, start, end))
            open_type = ""

    for place, tag in enumerate(tags):
        letter, kind = split_tag(tag)
        if letter not in alphabet:
            fail(place, "has a letter that is not")
        continues = letter in ("I", "E", "L") and kind == open_type
        if open_type and not continues and scheme in ("BIOES", "BILOU"):
            fail(place, "follows an entity that has not ended, which cannot be")
        if not continues:
            close(place)
            if letter in ("I", "E", "L") and scheme not in ("IO", "IOB1"):
                fail(place, "continues an entity that has not begun, which cannot be")
            if scheme == "IOB1" and letter == "B" and not (entities and entities[-1][::2] == (kind, place)):
                fail(place, "begins an entity that does not follow one of its own type, which is marked with I")
            if letter != "O":
                start, open_type = place, kind
        if letter in ("E", "L", "S", "U"):
            close(place + 1)
    if open_type and scheme in ("BIOES", "BILOU"):
        fail(len(tags) - 1, "is the last word's and its entity has not ended, which cannot be")
    close(len(tags))
    return entities


def can_follow(tag: str, before: str, scheme: str = "IOB2") -> bool:
    """Whether a tag can stand after another; before the first and after the last word of a sentence stands `O`."""
    (letter, kind), (letter_before, kind_before) = split_tag(tag), split_tag(before)
    if scheme in ("BIOES", "BILOU"):
        continues = letter in ("I", "E", "L")
        return continues and kind == kind_before if letter_before in ("B", "I") else not continues
    joins = {"IOB2": "I", "IOB1": "B"}.get(scheme)  # the letter that wants an entity of its type before it
    return letter != joins or kind == kind_before


def write_tags(entities: Iterable[Entity], length: int, scheme: str = "IOB2") -> list[str]:
    """The tags of a sentence of `length` words.

    Raises:
        ValueError: when entities overlap or leave the sentence.
    """
    tags, end_of_last, last_type = ["O"] * length, 0, ""
    only, first, between, last = LETTERS[scheme]
    for kind, start, end in sorted(entities, key=lambda entity: entity.start):
        if not end_of_last <= start < end <= length:
            raise ValueError(
                f"the entity {kind} over words {start} to {end - 1} overlaps another or leaves the sentence"
            )
        letters = [only] if end == start + 1 else [first, *[between] * (end - start - 2), last]
        if scheme == "IOB1" and start == end_of_last and kind == last_type:
            letters[0] = "B"
        tags[start:end] = [f"{letter}-{kind}" for letter in letters]
        end_of_last, last_type = end, kind
    return tags


def convert_tags(tags: Sequence[str], source: str, target: str) -> list[str]:
    """Tags of one scheme in another; `parse_tags` says what is refused."""
    return write_tags(parse_tags(tags, source), len(tags), target)


def find_scheme(names: Iterable[str], sentences: Iterable[Sequence[str]] = ()) -> str:
    """The scheme of a label space.

    Args:
        names: all tags that there are; letters tell most schemes apart.
        sentences: of tags, where given: they tell IOB1 from IOB2, whichever fewer of them contradict.
    """
    letters = {split_tag(name)[0] for name in names} - {"O"}
    if letters & {"L", "U"}:
        return "BILOU"
    if letters & {"E", "S"}:
        return "BIOES"
    if "B" not in letters:
        return "IO"
    against_iob1 = against_iob2 = 0  # a stray tag does not make another scheme
    for tags in sentences:
        before = "O"
        for tag in tags:
            against_iob1 += tag[0] == "B" and before[2:] != tag[2:]
            against_iob2 += tag[0] == "I" and before[2:] != tag[2:]
            before = tag
    return "IOB1" if against_iob2 > against_iob1 else "IOB2"
