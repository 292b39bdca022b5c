import math

import pytest
import torch
from transformers import AutoModelForTokenClassification, BertConfig, BertForTokenClassification

from hf_recipes.ner.head import check_labels, check_numbers, rename_labels, replace_head, tags_of
from hf_recipes.ner.labels import LabelMap, map_by_name, tag_names
from hf_recipes.pretrained import find_head

SOURCE = tag_names(["PER", "ORG", "LOC", "MISC"])
TARGET = tag_names(["location", "product", "person", "zebra"])


def make_model(tags=SOURCE) -> BertForTokenClassification:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=50,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=20,
        id2label=dict(enumerate(tags)),
        label2id={tag: number for number, tag in enumerate(tags)},
    )
    model = BertForTokenClassification(config).eval()
    torch.nn.init.normal_(model.classifier.bias)
    return model


def test_rows_go_where_the_map_says():
    model = make_model()
    old, tokens = model.classifier, torch.arange(5)[None]
    before = model(tokens).logits[0]
    replace_head(model, TARGET, map_by_name(["PER", "ORG", "LOC", "MISC"], ["location", "product", "person", "zebra"]))
    after = model(tokens).logits[0]
    assert tags_of(model) == TARGET and after.shape == (5, 9)
    for ours, theirs in (
        ("O", "O"),
        ("B-person", "B-PER"),
        ("I-person", "I-PER"),
        ("B-location", "B-LOC"),
        ("I-product", "I-MISC"),
    ):
        assert after[:, TARGET.index(ours)].allclose(before[:, SOURCE.index(theirs)], atol=1e-6)
    zebra = model.classifier.weight[TARGET.index("B-zebra")]
    assert not any(zebra.allclose(row) for row in old.weight) and model.classifier.bias[TARGET.index("B-zebra")] == 0
    assert model.config.label2id["I-zebra"] == 8 and model.config.tag_scheme == "IOB2"


def test_labels_of_one_name_are_all_meant():
    """As after a map that dropped a type and made one of two others."""
    model = make_model(["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-LOC", "I-LOC", "O", "O"])
    old = model.classifier
    replace_head(model, tag_names(["place", "person"]), map_by_name(["PER", "LOC"], ["place", "person"]))
    assert model.classifier.weight[0].equal(old.weight[0])
    assert model.classifier.weight[1].allclose(old.weight[[3, 5]].mean(0))


def test_a_renamed_head_has_the_order_of_the_data():
    """Where it has all of their tags: the same answers under other numbers."""
    model, tokens = make_model(), torch.arange(5)[None]
    before = model(tokens).logits[0]
    rename_labels(model, map_by_name(["PER", "ORG", "LOC", "MISC"], ["MISC", "PER", "ORG", "LOC"]))
    assert tags_of(model) == tag_names(["MISC", "PER", "ORG", "LOC"])
    after = model(tokens).logits[0]
    for number, tag in enumerate(tags_of(model)):
        assert (
            after[:, number].allclose(before[:, SOURCE.index(tag)], atol=1e-6) and model.config.label2id[tag] == number
        )


def test_the_letters_of_another_scheme_are_renamed_for_the_pipeline():
    model = make_model(["O", "B-PER", "I-PER", "E-PER", "S-PER"])
    rename_labels(model, map_by_name(["PER"], ["person"]))
    assert tags_of(model) == ["O", "B-person", "I-person", "I-person", "B-person"]
    assert model.config.tag_scheme == "IOB2"
    with pytest.raises(ValueError, match=r"the model's label 'PER' is no tag.*rename it in its config"):
        tags_of(make_model(["O", "PER"]))


def test_new_types_may_begin_fresh():
    model = make_model()
    old = model.classifier
    replace_head(
        model, TARGET, map_by_name(["PER", "ORG", "LOC", "MISC"], ["location", "product", "person", "zebra"]), "fresh"
    )
    product = model.classifier.weight[TARGET.index("B-product")]
    assert not any(product.allclose(row) for row in old.weight)
    assert model.classifier.weight[TARGET.index("B-person")].equal(old.weight[SOURCE.index("B-PER")])


def test_several_types_become_one_in_their_middle():
    model = make_model()
    old = model.classifier
    label_map = LabelMap(
        {"PER": None, "ORG": "name", "LOC": "name", "MISC": None}, ("PER", "ORG", "LOC", "MISC"), ("name",)
    )
    replace_head(model, tag_names(["name"]), label_map)
    expected = old.weight[[SOURCE.index("I-ORG"), SOURCE.index("I-LOC")]].mean(0)
    assert model.classifier.weight[2].allclose(expected)


def test_letters_of_other_schemes_become_those_that_cover_them():
    same = LabelMap({"PER": "PER"}, ("PER",), ("PER",))
    model = make_model(["O", "I-PER"])
    old = model.classifier
    replace_head(model, tag_names(["PER"]), same)
    assert all(row.equal(old.weight[1]) for row in model.classifier.weight[1:])
    assert model.classifier.bias[1:].allclose(old.bias[1] - math.log(2))  # both together are as likely as the one was
    model = make_model(["O", "B-PER", "I-PER", "E-PER", "S-PER"])
    old = model.classifier
    replace_head(model, tag_names(["PER"]), same)
    for row, covered in ((1, [1, 4]), (2, [2, 3])):
        assert model.classifier.weight[row].allclose(old.weight[covered].mean(0))


def test_kinds_of_one_type_share_its_probability():
    model, tokens = make_model(), torch.arange(5)[None]
    before = model(tokens).logits.softmax(-1)[0]
    kinds = tag_names(["person", "organization", "location", "song", "book", "award"])
    names = ["PER", "ORG", "LOC", "MISC"]
    replace_head(model, kinds, map_by_name(names, ["person", "organization", "location", "song", "book", "award"]))
    after = model(tokens).logits.softmax(-1)[0]
    assert after[:, 0].allclose(before[:, 0], atol=1e-6)
    songs = [kinds.index(f"B-{kind}") for kind in ("song", "book", "award")]
    assert after[:, songs].sum(1).allclose(before[:, SOURCE.index("B-MISC")], atol=1e-6)


def test_labels_without_o_are_refused():
    with pytest.raises(ValueError, match="none of them is O"):
        tags_of(make_model(["none", "B-PER", "I-PER"]))


def test_labels_are_renamed_and_answer_as_before():
    """Two kinds of one type would otherwise have the same row, and the first of them would be every answer."""
    model, tokens = make_model(), torch.arange(5)[None]
    before = model(tokens).logits
    rename_labels(model, map_by_name(["PER", "ORG", "LOC", "MISC"], ["writer", "politician", "location"]))
    assert tags_of(model) == ["O", "O", "O", "O", "O", "B-location", "I-location", "O", "O"]
    assert model(tokens).logits.equal(before) and model.config.label2id == {"O": 0, "B-location": 5, "I-location": 6}


def test_without_a_map_everything_is_new(tmp_path):
    model = make_model()
    old = model.classifier
    replace_head(model, TARGET)
    assert not any(ours.allclose(theirs) for ours in model.classifier.weight for theirs in old.weight)
    model.save_pretrained(tmp_path)
    again = AutoModelForTokenClassification.from_pretrained(tmp_path)
    assert tags_of(again) == TARGET and again.classifier.weight.equal(model.classifier.weight)


def test_heads_that_speak_another_language_are_refused():
    model = make_model()
    check_labels(model, SOURCE)
    with pytest.raises(
        ValueError, match="names suggest the map PER -> person, ORG -> O, LOC -> location, MISC -> O; new: product"
    ):
        check_labels(model, TARGET)
    shuffled = tag_names(["MISC", "PER", "ORG", "LOC"])  # as many labels, the same names, another order
    with pytest.raises(ValueError, match="PER -> PER, ORG -> ORG, LOC -> LOC, MISC -> MISC"):
        check_labels(model, shuffled)
    with pytest.raises(ValueError, match=r"labels have no names.*it is no tagger"):
        check_labels(make_model(["LABEL_0", "LABEL_1"]), SOURCE)
    assert find_head(model)[0] == "classifier"


def test_a_head_with_too_few_labels_has_nothing_to_mismatch():
    check_numbers(make_model(), TARGET)
    with pytest.raises(ValueError, match=r"9 labels and the data 11 tags.*ignore_mismatched_sizes"):
        check_numbers(make_model(), tag_names("abcde"))
