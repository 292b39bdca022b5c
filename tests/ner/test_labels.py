import pytest

from hf_recipes.ner.labels import (
    LabelMap,
    canonical,
    check_map,
    map_by_name,
    map_by_predictions,
    read_map,
    read_table,
    tag_names,
    types_of,
)
from hf_recipes.ner.schemes import Entity

CONLL = ["PER", "ORG", "LOC", "MISC"]
WNUT = ["corporation", "creative-work", "group", "location", "person", "product"]


def test_label_spaces_name_their_types_in_order():
    assert types_of(tag_names(CONLL)) == CONLL and tag_names(["a"]) == ["O", "B-a", "I-a"]


def test_names_and_synonyms_make_a_map():
    found = map_by_name(CONLL, WNUT)
    assert dict(found.targets) == {"PER": "person", "ORG": None, "LOC": "location", "MISC": None}
    assert dict(found.related) == {
        "corporation": ("ORG",),
        "group": ("ORG",),
        "creative-work": ("MISC",),
        "product": ("MISC",),
    }
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
        "thing": ("LOC",)
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
        ("PER: who\nLOC: null\nrelated: {where: [LOC, 3]}", "a map has lines such as"),
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
    assert found.targets == {"PER": "who", "LOC": None} and found.related == {"where": ("LOC",)}
    assert found.as_text() == "{PER: who, LOC: null, related: {where: LOC}}"
    assert read_map(found.as_text(), ["PER", "LOC"], ["who", "where"]) == found
    several = read_map("{PER: null, LOC: null, related: {where: [LOC, PER]}}", ["PER", "LOC"], ["who", "where"])
    assert several.sources_of("where") == ["LOC", "PER"] and several.sources_of("who") == []
    assert several.describe() == "PER -> O, LOC -> O; new: who, where (a kind of LOC and PER)"
    assert read_map(several.as_text(), ["PER", "LOC"], ["who", "where"]) == several
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
