"""Label spaces of named entity recognition as values: schemes of tags, the entities they mean, and maps between types.

A tag is `O`, or a letter that says where in an entity a word stands and the entity's type: `B-PER`. Which letters there are is the
scheme:

    IO      I everywhere; two entities of a type side by side cannot be told apart
    IOB1    I everywhere, B only where an entity follows one of its own type (Ramshaw and Marcus 1995)
    IOB2    B at the beginning of every entity, I inside (CoNLL-2002)
    BIOES   as IOB2, with E at the end and S for entities of one word
    BILOU   the same with L for E and U for S (Ratinov and Roth 2009)
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import yaml

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


def types_of(names: Iterable[str]) -> list[str]:
    """Types of entities in the order in which tags name them."""
    return list(dict.fromkeys(kind for _, kind in map(split_tag, names) if kind))


def tag_names(types: Iterable[str]) -> list[str]:
    """`O`, then `B-` and `I-` of each type: a label space in IOB2."""
    return ["O", *(f"{letter}-{kind}" for kind in types for letter in "BI")]


# -- what types mean -------------------------------------------------------------------------------
# canonical type -> its names in CoNLL-2003, WikiANN, WNUT-17, CrossNER and OntoNotes; the first means just that, the others are kinds
# of it
CANONICAL: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "PER": (
        ("per", "person", "pers", "people"),
        ("researcher", "scientist", "writer", "politician", "musicalartist"),
    ),
    "ORG": (
        ("org", "organization"),
        (
            "corporation",
            "group",
            "university",
            "band",
            "politicalparty",
            "conference",
            "academicjournal",
            "magazine",
        ),
    ),
    "LOC": (
        ("loc", "location", "gpe", "place"),
        ("country", "facility", "city", "astronomicalobject"),
    ),
    "MISC": (
        ("misc", "miscellaneous"),
        (
            "creativework",
            "workofart",
            "book",
            "poem",
            "song",
            "album",
            "event",
            "election",
            "award",
            "product",
            "norp",
            "language",
            "law",
            "literarygenre",
            "musicgenre",
            "musicalinstrument",
            "programlang",
            "field",
            "task",
            "algorithm",
            "metrics",
            "discipline",
            "theory",
            "enzyme",
            "protein",
            "chemicalelement",
            "chemicalcompound",
        ),
    ),
    "DATE": (("date",), ()),
    "TIME": (("time",), ()),
    "MONEY": (("money",), ()),
    "PERCENT": (("percent",), ()),
    "QUANTITY": (("quantity",), ()),
    "ORDINAL": (("ordinal",), ()),
    "CARDINAL": (("cardinal",), ()),
}


SPELLINGS = {"fac": "facility", "company": "corporation", "organisation": "organization"}


def canonical(name: str) -> tuple[str, bool] | None:
    """The canonical type of a name, and whether it means just that rather than a kind of it; None where it is unknown."""
    for kind, (same, narrower) in CANONICAL.items():
        if plain(name) in same or plain(name) in narrower:
            return kind, plain(name) in same
    return None


def plain(name: str) -> str:
    """A name's letters and digits in lower case, under one of its spellings."""
    letters = "".join(letter for letter in name.lower() if letter.isalnum())
    return SPELLINGS.get(letters, letters)


@dataclass(frozen=True)
class LabelMap:
    """What the entity types of a source label space become in a target's.

    Args:
        targets: source type -> target type, or None for one that the target does not have: it becomes `O`.
        related: target type that no source type becomes -> a source type of which it is a kind, as `politician` is one of PER. Heads
            of new types may begin there.
        source, target: all types of both spaces.
    """

    targets: Mapping[str, str | None]
    source: tuple[str, ...]
    target: tuple[str, ...]
    related: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self):
        for what, names, known, where in (
            ("maps", self.targets, self.source, "the source"),
            ("maps to", filter(None, self.targets.values()), self.target, "the target"),
            ("relates", self.related, self.target, "the target"),
            ("relates to", self.related.values(), self.source, "the source"),
        ):
            unknown = [name for name in names if name not in known]
            if unknown:
                raise ValueError(
                    f"the map {what} {', '.join(unknown)}, which {where} has not; it has {', '.join(known)}"
                )
        missing = [name for name in self.source if name not in self.targets]
        if missing:
            raise ValueError(f"the map says nothing of {', '.join(missing)}; give null for what becomes O")

    @property
    def new(self) -> list[str]:
        """Target types that no source type becomes."""
        return [kind for kind in self.target if kind not in self.targets.values()]

    def map_tag(self, tag: str) -> str:
        """A source tag in the target's types; its letter stays."""
        letter, kind = split_tag(tag)
        mapped = self.targets[kind] if kind else None
        return f"{letter}-{mapped}" if mapped else "O"

    def sources_of(self, kind: str) -> list[str]:
        """The source types that become a target type, or the one that it is a kind of; none for a type that is new altogether."""
        becoming = [name for name in self.source if self.targets[name] == kind]
        return becoming or ([self.related[kind]] if kind in self.related else [])

    def coverage(self, counts: Mapping[str, int]) -> list[dict[str, object]]:
        """A row for each source type and for each new target type, with the number of entities of the target type in some data;
        None for a type that is lost, of which the data know nothing."""
        rows = [
            {
                "source": name,
                "target": self.targets[name] or "O (lost)",
                "entities": counts.get(self.targets[name], 0) if self.targets[name] else None,
            }
            for name in self.source
        ]
        for name in self.new:
            kind = f" (a kind of {self.related[name]})" if name in self.related else ""
            rows.append({"source": f"new{kind}", "target": name, "entities": counts.get(name, 0)})
        return rows

    def as_text(self) -> str:
        """As YAML in braces, which `read_map` reads."""
        table = dict(self.targets) | ({"related": dict(self.related)} if self.related else {})
        return yaml.safe_dump(table, default_flow_style=True, sort_keys=False, width=float("inf")).strip()

    def describe(self) -> str:
        """In one line, for a person to check: `PER -> person, MISC -> O; new: product (a kind of MISC)`."""
        text = ", ".join(f"{name} -> {self.targets[name] or 'O'}" for name in self.source)
        new = [f"{name} (a kind of {self.related[name]})" if name in self.related else name for name in self.new]
        return text + (f"; new: {', '.join(new)}" if new else "")


def read_map(file: str, source: Sequence[str], target: Sequence[str]) -> LabelMap:
    """A map from a YAML file of source types and the target types that they become, null for none; or from its text, in braces.

    A key `related` holds the target types that are kinds of source types.

    Raises:
        OSError, ValueError: naming the file and what is wrong with it.
    """
    table, related = load_table(file)
    try:
        return LabelMap(table, tuple(source), tuple(target), related)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error


def read_table(file: str, source: Sequence[str]) -> LabelMap:
    """As `read_map`, to types that are no data set's: those that the file names."""
    table, related = load_table(file)
    return read_map(file, source, tuple(dict.fromkeys([*filter(None, table.values()), *related])))


def load_table(file: str) -> tuple[dict[str, str | None], dict[str, str]]:
    """The types of a file of `read_map`, and its `related`."""
    try:
        table = yaml.safe_load(file if file.startswith("{") else Path(file).read_text())
    except yaml.YAMLError as error:
        raise ValueError(f"{file} is not valid YAML: {' '.join(str(error).split())}") from error
    related = table.pop("related", None) or {} if isinstance(table, dict) else None
    if not isinstance(related, dict) or not all(
        isinstance(name, str) and isinstance(other, str | None)
        for each in (table, related)
        for name, other in each.items()
    ):
        raise ValueError(f"{file}: a map has lines such as 'PER: person', or 'MISC: null' for what becomes O")
    return table, related


def check_map(label_map: LabelMap, related_too: bool) -> None:
    """Raises a `ValueError` where a map says nothing: no source type becomes a target type, nor, with `related_too`, is a kind of one."""
    if not any(label_map.targets.values()) and not (related_too and label_map.related):
        raise ValueError(
            f"the map makes nothing of the source's types {', '.join(label_map.source)} for the data's {', '.join(label_map.target)}; "
            "give one with --map FILE, or take --strategy fresh_head"
        )


def map_by_name(source: Sequence[str], target: Sequence[str]) -> LabelMap:
    """The map that names and their synonyms give (`CANONICAL`): equal names first, then equal meanings, then kinds.

    A source type becomes the target type of the same name or meaning; where the target has only kinds of it, it becomes none of them, and
    they are related to it. A narrow source type becomes the wider target type.
    """
    targets: dict[str, str | None] = {}
    for name in source:
        equal = [other for other in target if plain(other) == plain(name)]
        meaning = canonical(name)
        same = [other for other in target if meaning and canonical(other) == (meaning[0], True)]
        targets[name] = next(iter(equal + same), None)
    taken, related = set(targets.values()), {}
    for other in target:
        meaning = canonical(other)
        wider = [name for name in source if meaning and canonical(name) == (meaning[0], True)]
        if other not in taken and wider:
            related[other] = wider[0]
    return LabelMap(targets, tuple(source), tuple(target), related)


def map_by_predictions(
    predicted: Iterable[Sequence[Entity]],
    gold: Iterable[Sequence[Entity]],
    source: Sequence[str],
    target: Sequence[str],
    least: float = 0.3,
) -> LabelMap:
    """The map that a source model's predictions on target data suggest.

    Counts how often a predicted entity shares a word with a gold one of each type. A source type becomes the target type that it meets
    most often, if this is at least the share `least` of the predictions of that source type; a target type that nothing becomes is related
    to the source type that meets it most, if at least that share of its entities is met by it.

    Args:
        predicted, gold: entities by sentence.
        source, target: all types.
        least: from 0 to 1.
    """
    meetings: Counter[tuple[str, str]] = Counter()
    predictions: Counter[str] = Counter()
    golds: Counter[str] = Counter()
    for ours, theirs in zip(predicted, gold, strict=True):
        predictions.update(entity.type for entity in ours)
        golds.update(entity.type for entity in theirs)
        meetings.update(
            (mine.type, other.type)
            for mine in ours
            for other in theirs
            if mine.start < other.end and other.start < mine.end
        )
    targets: dict[str, str | None] = {}
    for name in source:
        best = max(target, key=lambda other: meetings[name, other], default=None)
        enough = best is not None and meetings[name, best] >= max(1, least * predictions[name])
        targets[name] = best if enough else None
    taken, related = set(targets.values()), {}
    for other in target:
        best = max(source, key=lambda name: meetings[name, other], default=None)
        if other not in taken and best is not None and meetings[best, other] >= max(1, least * golds[other]):
            related[other] = best
    return LabelMap(targets, tuple(source), tuple(target), related)
