import itertools

import pytest

from hf_recipes.ner.schemes import SCHEMES, Entity, convert_tags, find_scheme, parse_tags, split_tag, write_tags


def all_sentences(length: int, types: str = "ab"):
    """Every way to put entities of two types into a sentence."""
    if length == 0:
        yield []
    for first in range(1, length + 1):
        for rest in all_sentences(length - first, types):
            moved = [Entity(kind, start + first, end + first) for kind, start, end in rest]
            for kind in types:
                yield [Entity(kind, 0, first), *moved]
            if first == 1:
                yield moved


@pytest.mark.parametrize("scheme", [scheme for scheme in SCHEMES if scheme != "IO"])
def test_every_sentence_comes_back_from_its_tags(scheme):
    sentences = [entities for length in range(6) for entities in all_sentences(length)]
    assert len(sentences) > 500
    for length in range(6):
        written = {}
        for entities in all_sentences(length):
            tags = write_tags(entities, length, scheme)
            assert parse_tags(tags, scheme) == entities and parse_tags(tags, scheme, repair=True) == entities
            assert written.setdefault(tuple(tags), entities) == entities  # no two sentences share their tags


def test_io_cannot_tell_neighbours_apart():
    assert write_tags([Entity("a", 0, 1), Entity("a", 1, 3)], 3, "IO") == ["I-a"] * 3
    assert parse_tags(["I-a", "I-a", "I-b", "O"], "IO") == [Entity("a", 0, 2), Entity("b", 2, 3)]


def test_schemes_by_hand():
    entities = [Entity("PER", 0, 2), Entity("PER", 2, 3), Entity("LOC", 4, 7)]
    expected = {
        "IOB1": "I-PER I-PER B-PER O I-LOC I-LOC I-LOC",
        "IOB2": "B-PER I-PER B-PER O B-LOC I-LOC I-LOC",
        "BIOES": "B-PER E-PER S-PER O B-LOC I-LOC E-LOC",
        "BILOU": "B-PER L-PER U-PER O B-LOC I-LOC L-LOC",
    }
    for scheme, tags in expected.items():
        assert " ".join(write_tags(entities, 7, scheme)) == tags
        for other in expected:
            assert " ".join(convert_tags(tags.split(), scheme, other)) == expected[other]


@pytest.mark.parametrize(
    ("tags", "scheme", "message"),
    [
        ("O I-PER", "IOB2", "word 1: 'I-PER' continues an entity that has not begun"),
        ("B-PER I-LOC", "IOB2", "word 1: 'I-LOC' continues an entity that has not begun"),
        ("B-PER O", "BIOES", "word 1: 'O' follows an entity that has not ended"),
        ("B-PER I-PER", "BILOU", "word 1: 'I-PER' is the last word's and its entity has not ended"),
        ("B-PER", "IO", "word 0: 'B-PER' has a letter that is not"),
        ("O B-PER", "IOB1", "word 1: 'B-PER' begins an entity that does not follow one of its own type"),
        ("PER", "IOB2", "'PER' is no tag"),
        ("X-PER", "IOB2", "'X-PER' is no tag"),
        ("B-", "IOB2", "'B-' is no tag"),
    ],
)
def test_tags_outside_their_scheme_are_named(tags, scheme, message):
    with pytest.raises(ValueError, match=message):
        parse_tags(tags.split(), scheme)


def test_repair_reads_any_tags_as_conll_does():
    assert parse_tags(["O", "I-PER", "I-PER", "B-PER", "I-LOC"], repair=True) == [
        Entity("PER", 1, 3),
        Entity("PER", 3, 4),
        Entity("LOC", 4, 5),
    ]
    letters = [tag for kind in "ab" for tag in (f"B-{kind}", f"I-{kind}")] + ["O"]
    for tags in itertools.product(letters, repeat=4):
        entities = parse_tags(tags, repair=True)
        covered = {place for _, start, end in entities for place in range(start, end)}
        assert covered == {place for place, tag in enumerate(tags) if tag != "O"}  # no tagged word is lost


def test_overlapping_entities_have_no_tags():
    with pytest.raises(ValueError, match="the entity b over words 1 to 2 overlaps"):
        write_tags([Entity("a", 0, 2), Entity("b", 1, 3)], 4)
    with pytest.raises(ValueError, match="leaves the sentence"):
        write_tags([Entity("a", 2, 5)], 4)


def test_schemes_are_found():
    for scheme in ("BIOES", "BILOU", "IO", "IOB2"):
        sentence = write_tags([Entity("a", 0, 1), Entity("a", 1, 3), Entity("b", 4, 6)], 7, scheme)
        assert find_scheme(set(sentence), [sentence]) == scheme
    sentence = write_tags([Entity("a", 0, 1), Entity("a", 1, 3)], 4, "IOB1")
    assert sentence == ["I-a", "B-a", "I-a", "O"] and find_scheme(set(sentence), [sentence]) == "IOB1"
    assert find_scheme(["O", "B-a", "I-a"], [["B-a", "O", "B-a"], ["O", "I-a"]]) == "IOB2"  # one stray tag
    assert split_tag("B-creative-work") == ("B", "creative-work")
