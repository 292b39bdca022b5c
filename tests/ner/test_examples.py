from hf_recipes.ner import examples
from hf_recipes.ner.examples import SENTENCES, describe_sentences, examples_of_errors, read_sentences
from hf_recipes.ner.schemes import Entity, write_tags


def test_own_sentences_are_judged_by_their_entities(monkeypatch):
    def tag(model, tokenizer, sentences):
        (words,) = sentences
        entities = [
            Entity({"PER": "person", "ORG": "organization", "LOC": "place"}[kind], *span)
            for kind, *span in SENTENCES[" ".join(words)]
        ]
        if words[0] == "Siemens":
            entities = entities[1:]
        if words[0] == "Washington":
            entities = [Entity("place", 0, 1), *entities[1:], Entity("time", 6, 8)]
        return [write_tags(entities, len(words))]

    monkeypatch.setattr(examples, "tag_sentences", tag)
    readings = read_sentences(None, None, ["person", "organization", "place"])
    rows = {row["sentence"].split()[0]: row for row in describe_sentences(readings)}
    assert examples_of_errors(readings) == {
        "missed": "Siemens (organization), found: nothing",
        "wrong type": "Washington (organization), found: Washington (place)",
    }
    assert (
        rows["Grete"]["errors"] == "none"
        and rows["Grete"]["found"] == "Grete Hermann (person); Göttingen (place); Emmy Noether (person)"
    )
    assert (
        rows["Siemens"]["errors"] == "missed" and rows["Washington"]["errors"] == "wrong type"
    )  # time was not annotated
    others = describe_sentences(read_sentences(None, None, ["politician", "place"]))
    (siemens,) = (row for row in others if row["sentence"].startswith("Siemens"))
    assert "(place)" in siemens["entities"] and "(person)" not in siemens["entities"] and siemens["errors"] == "none"
    assert read_sentences(None, None, ["gene"]) == []


def test_every_entity_of_the_sentences_is_within_them():
    for text, entities in SENTENCES.items():
        ends = [0, *(end for *_, end in entities)]
        assert all(before <= start < end <= len(text.split()) for before, (_, start, end) in zip(ends, entities))
