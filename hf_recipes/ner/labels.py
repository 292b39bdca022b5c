"""Label spaces of named entity recognition as values: their types, what these mean, and maps from one space to another."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import yaml

from .schemes import Entity, split_tag


def types_of(names: Iterable[str]) -> list[str]:
    """Types of entities in the order in which tags name them."""
    return list(dict.fromkeys(kind for _, kind in map(split_tag, names) if kind))


def tag_names(types: Iterable[str]) -> list[str]:
    """`O`, then `B-` and `I-` of each type: a label space in IOB2."""
    return ["O", *(f"{letter}-{kind}" for kind in types for letter in "BI")]


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
        related: target type that no source type becomes -> the source types of which it is a kind, as `politician` is one of PER. Heads
            of new types may begin there, at the mean of several.
        source, target: all types of both spaces.
    """

    targets: Mapping[str, str | None]
    source: tuple[str, ...]
    target: tuple[str, ...]
    related: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self):
        for what, names, known, where in (
            ("maps", self.targets, self.source, "the source"),
            ("maps to", filter(None, self.targets.values()), self.target, "the target"),
            ("relates", self.related, self.target, "the target"),
            ("relates to", chain.from_iterable(self.related.values()), self.source, "the source"),
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
        """The source types that become a target type, or those that it is a kind of; none for a type that is new altogether."""
        becoming = [name for name in self.source if self.targets[name] == kind]
        return becoming or list(self.related.get(kind, ()))

    def kind_of(self, kind: str) -> str:
        """` (a kind of PER)`, or nothing."""
        return f" (a kind of {' and '.join(self.related[kind])})" if kind in self.related else ""

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
            rows.append({"source": f"new{self.kind_of(name)}", "target": name, "entities": counts.get(name, 0)})
        return rows

    def as_text(self) -> str:
        """As YAML in braces, which `read_map` reads."""
        related = {name: others[0] if len(others) == 1 else list(others) for name, others in self.related.items()}
        table = dict(self.targets) | ({"related": related} if related else {})
        return yaml.safe_dump(table, default_flow_style=True, sort_keys=False, width=float("inf")).strip()

    def describe(self) -> str:
        """In one line, for a person to check: `PER -> person, MISC -> O; new: product (a kind of MISC)`."""
        text = ", ".join(f"{name} -> {self.targets[name] or 'O'}" for name in self.source)
        new = [name + self.kind_of(name) for name in self.new]
        return text + (f"; new: {', '.join(new)}" if new else "")


def read_map(file: str, source: Sequence[str], target: Sequence[str]) -> LabelMap:
    """A map from a YAML file of source types and the target types that they become, null for none; or from its text, in braces.

    A key `related` holds the target types that are kinds of source types, of one or of a list of them.

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


def load_table(file: str) -> tuple[dict[str, str | None], dict[str, tuple[str, ...]]]:
    """The types of a file of `read_map`, and its `related`."""
    try:
        table = yaml.safe_load(file if file.startswith("{") else Path(file).read_text())
    except yaml.YAMLError as error:
        raise ValueError(f"{file} is not valid YAML: {' '.join(str(error).split())}") from error
    related = table.pop("related", None) or {} if isinstance(table, dict) else None
    if isinstance(related, dict):
        related = {name: tuple(each) if isinstance(each, list) else (each,) for name, each in related.items()}
    if not isinstance(related, dict) or not (
        all(isinstance(name, str) and isinstance(other, str | None) for name, other in table.items())
        and all(isinstance(name, str) for item in related.items() for name in (item[0], *item[1]))
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
            related[other] = tuple(wider)
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
            related[other] = (best,)
    return LabelMap(targets, tuple(source), tuple(target), related)
