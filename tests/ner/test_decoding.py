from itertools import pairwise, product

import numpy as np
import pytest

from hf_recipes.ner.decoding import find_path, name_scores, scheme_of
from hf_recipes.ner.labels import tag_names
from hf_recipes.ner.schemes import LETTERS, can_follow, parse_tags, write_tags

from .test_head import make_model

TAGS = tag_names(["a", "b"])


def names_of(scheme: str) -> list[str]:
    letters = {"IOB1": "BI"}.get(scheme, sorted(set(LETTERS[scheme])))
    return ["O", *(f"{letter}-{kind}" for kind in "ab" for letter in letters)]


@pytest.mark.parametrize("scheme", LETTERS)
def test_the_best_of_all_sequences_is_found(scheme):
    """Against every sequence that the scheme allows, by its sum."""
    names = names_of(scheme)
    allowed = []
    for path in product(range(len(names)), repeat=4):
        around = ["O", *(names[number] for number in path), "O"]
        can = all(can_follow(tag, before, scheme) for before, tag in pairwise(around))
        try:
            parse_tags(around[1:-1], scheme)
        except ValueError:
            assert not can
        else:
            assert can
            allowed.append(path)
    for seed in range(20):
        scores = np.random.default_rng(seed).normal(size=(4, len(names)))
        best = max(allowed, key=lambda path: sum(row[number] for row, number in zip(scores, path)))
        expected = write_tags(parse_tags([names[number] for number in best], scheme), 4)
        assert name_scores([scores], names, scheme) == [expected]


def test_the_scheme_decides_what_a_stray_tag_means():
    """Two words that are more likely inside of an entity than anything else."""
    scores = np.array([[0, 1.5, 2, 0, 0], [0, 0, 2, 0, 0]], float)
    assert name_scores([scores], TAGS, "IOB2") == [["B-a", "I-a"]]
    scores[0] = [1.8, 0, 2, 0, 0]  # what begins no entity is not inside one
    assert name_scores([scores], TAGS, None) == [["B-a", "I-a"]]
    assert name_scores([scores], TAGS, "IOB2") == [["B-a", "I-a"]]
    scores[1] = [1.9, 0, 2, 0, 0]
    assert name_scores([scores], TAGS, "IOB2") == [["O", "O"]]
    assert name_scores([scores], TAGS, None) == [["B-a", "I-a"]]


def test_labels_of_one_name_are_one_tag():
    """Nothing is likelier than the person, though neither label for it is likelier than it."""
    names = ["O", "B-a", "I-a", "O"]
    scores = np.log([[0.3, 0.35, 0.1, 0.25]])
    for scheme in ("IOB2", None):
        assert name_scores([scores], names, scheme) == [["O"]]
        assert name_scores([scores[:, :3]], names[:3], scheme) == [["B-a"]]


def test_a_sentence_without_words_has_no_tags():
    for scheme in ("IOB2", None):
        assert name_scores([np.zeros((0, 5))], TAGS, scheme) == [[]]


def test_a_word_that_can_only_be_outside_ends_an_entity():
    nothing = np.where(np.arange(5) == 0, 0, -np.inf)
    scores = np.stack([[0, 5, 0, 0, 0], nothing, [0, 1, 4, 0, 0]])
    assert name_scores([scores], TAGS, "IOB2") == [["B-a", "O", "B-a"]]


def test_the_likeliest_tags_are_taken_where_they_can_be():
    scores = 9.0 * np.eye(5)[[1, 2, 3]]
    never = np.full(5, -np.inf)
    assert list(find_path(scores, np.zeros(5), np.zeros((5, 5)), np.zeros(5))) == [1, 2, 3]
    blocked = np.where(np.arange(5) == 1, 0, never)
    assert find_path(scores, blocked, np.zeros((5, 5)), np.zeros(5))[0] == 1


@pytest.mark.parametrize(
    ("names", "said", "scheme"),
    [
        (TAGS, None, None),
        (TAGS, "IOB2", "IOB2"),
        (names_of("BIOES"), None, "BIOES"),
        (names_of("IO"), None, "IO"),
        (["O", "B-a", "I-a", "S-a"], None, None),  # a scheme of some annotators, without an end
        (TAGS, "BIO", None),
    ],
)
def test_a_tagger_that_does_not_say_its_scheme_is_not_held_to_one(names, said, scheme):
    model = make_model(names)
    if said:
        model.config.tag_scheme = said
    assert scheme_of(model) == scheme
