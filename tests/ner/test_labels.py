import itertools

import pytest

from hf_recipes.ner.labels import (
    SCHEMES,
    Entity,
    LabelMap,
    canonical,
    check_map,
    convert_tags,
    find_scheme,
    map_by_name,
    map_by_predictions,
    parse_tags,
    read_map,
    read_table,
    split_tag,
    tag_names,
    types_of,
    write_tags,
)

CONLL = ["PER", "ORG", "LOC", "MISC"]
WNUT = ["corporation", "creative-work", "group", "location", "person", "product"]


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
    assert types_of(tag_names(CONLL)) == CONLL and tag_names(["a"]) == ["O", "B-a", "I-a"]
    assert split_tag("B-creative-work") == ("B", "creative-work")


# -- maps ------------------------------------------------------------------------------------------
def test_names_and_synonyms_make_a_map():
    found = map_by_name(CONLL, WNUT)
    assert dict(found.targets) == {"PER": "person", "ORG": None, "LOC": "location", "MISC": None}
    assert dict(found.related) == {"corporation": "ORG", "group": "ORG", "creative-work": "MISC", "product": "MISC"}
    assert found.new == ["corporation", "creative-work", "group", "product"]
    assert map_by_name(CONLL, ["PER", "ORG", "LOC"]).targets["MISC"] is None
    ontonotes = map_by_name(["PERSON", "NORP", "GPE", "LOC", "DATE", "WORK_OF_ART"], CONLL)
    assert dict(ontonotes.targets) == {
        "PERSON": "PER",
        "NORP": "MISC",
        "GPE": "LOC",
        "LOC": "LOC",
        "DATE": None,
        "WORK_OF_ART": "MISC",
    }
    assert canonical("Zebra") is None and canonical("politicalparty") == ("ORG", False)


def test_a_map_maps_tags_and_entities():
    found = map_by_name(CONLL, WNUT)
    assert [found.map_tag(tag) for tag in ("O", "B-PER", "I-LOC", "B-MISC")] == ["O", "B-person", "I-location", "O"]
    assert found.sources_of("person") == ["PER"] and found.sources_of("group") == ["ORG"]
    assert LabelMap({"a": None}, ("a",), ("z",)).sources_of("z") == []
    assert found.describe() == (
        "PER -> person, ORG -> O, LOC -> location, MISC -> O; new: corporation (a kind of ORG), creative-work (a kind of MISC), "
        "group (a kind of ORG), product (a kind of MISC)"
    )


def test_coverage_counts_entities():
    assert map_by_name(["PER", "MISC"], ["person", "group"]).coverage({"person": 5, "group": 3}) == [
        {"source": "PER", "target": "person", "entities": 5},
        {"source": "MISC", "target": "O (lost)", "entities": None},
        {"source": "new", "target": "group", "entities": 3},
    ]


@pytest.mark.parametrize(
    ("source", "target"), [("WORK_OF_ART", "work-of-art"), ("creative-work", "creative_work"), ("FAC", "facility")]
)
def test_spellings_of_a_name_are_one_name(source, target):
    assert map_by_name([source], [target]).targets == {source: target}


def test_predictions_suggest_a_map():
    gold = [[Entity("who", 0, 2), Entity("where", 3, 4)], [Entity("who", 1, 2)], [Entity("thing", 0, 3)]]
    predicted = [[Entity("PER", 0, 1), Entity("LOC", 3, 4)], [Entity("PER", 1, 2)], [Entity("LOC", 2, 3)]]
    found = map_by_predictions(predicted, gold, ["PER", "LOC", "MISC"], ["who", "where", "thing"])
    assert dict(found.targets) == {"PER": "who", "LOC": "where", "MISC": None} and dict(found.related) == {
        "thing": "LOC"
    }
    # one meeting in four predictions is no reason
    predicted = [[Entity("PER", place, place + 1) for place in range(4)]]
    assert map_by_predictions(predicted, [[Entity("who", 0, 1)]], ["PER"], ["who"]).targets["PER"] is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("PER: human\nLOC: where", "maps to human, which the target has not; it has who, where"),
        ("PERSON: who\nPER: who\nLOC: where", "maps PERSON, which the source has not; it has PER, LOC"),
        ("PER: who", "says nothing of LOC; give null for what becomes O"),
        ("PER: who\nLOC: null\nrelated: {where: GPE}", "relates to GPE, which the source has not"),
        ("- PER", "a map has lines such as"),
        ("PER: [who, where]\nLOC: null", "a map has lines such as"),
        ("PER: who\nLOC: null\nrelated: [where]", "a map has lines such as"),
        ("PER: {", "is not valid YAML"),
    ],
)
def test_tables_that_name_unknown_types(text, message, tmp_path):
    (tmp_path / "map.yaml").write_text(text)
    with pytest.raises(ValueError, match=f"map.yaml.* {message}"):
        read_map(str(tmp_path / "map.yaml"), ["PER", "LOC"], ["who", "where"])


def test_a_table_is_read(tmp_path):
    (tmp_path / "map.yaml").write_text("PER: who\nLOC: null\nrelated: {where: LOC}\n")
    found = read_map(str(tmp_path / "map.yaml"), ["PER", "LOC"], ["who", "where"])
    assert found.targets == {"PER": "who", "LOC": None} and found.related == {"where": "LOC"}
    assert found.as_text() == "{PER: who, LOC: null, related: {where: LOC}}"
    assert read_map(found.as_text(), ["PER", "LOC"], ["who", "where"]) == found
    assert read_table(str(tmp_path / "map.yaml"), ["PER", "LOC"]).targets == found.targets  # of `tag --map`


def test_a_map_that_says_nothing_is_refused():
    with pytest.raises(
        ValueError, match=r"makes nothing of the source's types PER, ORG .* gene, cell; give one with --map"
    ):
        check_map(map_by_name(["PER", "ORG"], ["gene", "cell"]), related_too=True)
    kinds = map_by_name(["PER"], ["politician"])
    check_map(kinds, related_too=True)  # its rows begin there
    with pytest.raises(ValueError, match="makes nothing"):
        check_map(kinds, related_too=False)
