"""Checks on the data sets and the encoder of the study; run by `make test-hub`."""

import json
import os

import numpy as np
import pytest
from conftest import ROOT, run_python

from hf_recipes.ner.data import load_sentences
from hf_recipes.ner.labels import map_by_name

pytestmark = pytest.mark.hub
ENCODER = "sentence-transformers/all-MiniLM-L6-v2"
CONLL = ["PER", "ORG", "LOC", "MISC"]


@pytest.mark.parametrize(
    ("dataset", "config", "sizes", "types"),
    [
        ("eriktks/conll2003", None, (14041, 3250, 3453), CONLL),
        ("unimelb-nlp/wikiann", "en", (20000, 10000, 10000), ["PER", "ORG", "LOC"]),
        ("leondz/wnut_17", None, (3394, 1009, 1287), ["corporation", "creative-work", "group", "location", "person", "product"]),
        ("DFKI-SLT/cross_ner", "politics", (200, 541, 651), None),
    ],
)  # fmt: skip
def test_every_tag_comes_back_from_its_windows(dataset, config, sizes, types):
    from transformers import AutoTokenizer

    from hf_recipes.ner.alignment import align_sentences, join_windows

    data = load_sentences(dataset, config=config)
    read = tuple(len(data.splits[name]) for name in ("train", "validation", "test"))
    assert all(0 <= size - found <= 5 for size, found in zip(sizes, read)), read  # sentences without words are left out
    assert types is None or data.types == types
    numbers = {tag: number for number, tag in enumerate(data.tags)}
    tokenizer, sample = AutoTokenizer.from_pretrained(ENCODER), data.splits["test"].take(400)
    labels = [[numbers[tag] for tag in tags] for tags in sample["tags"]]
    windows = align_sentences(sample["words"], labels, tokenizer, max_length=32, stride=8)
    labelled, words, owners = (list(map(np.array, windows[name])) for name in ("labels", "word", "sentence"))
    joined = join_windows(labelled, words, owners, [len(each) for each in sample["words"]])
    assert len(windows["labels"]) > len(sample) and [each.tolist() for each in joined] == labels


def test_names_map_every_data_set_to_the_source():
    for dataset, config, new in (("unimelb-nlp/wikiann", "en", []), ("leondz/wnut_17", None, ["corporation", "creative-work", "group", "product"])):  # fmt: skip
        label_map = map_by_name(CONLL, load_sentences(dataset, config=config).types)
        assert label_map.new == new and set(label_map.related) == set(new)
    for domain in ("ai", "literature", "music", "politics", "science"):
        label_map = map_by_name(CONLL, load_sentences("DFKI-SLT/cross_ner", config=domain).types)
        assert set(label_map.new) == set(label_map.related), (domain, label_map.describe())


def test_train_push_and_tag_a_sentence(tmp_path):
    words = [
        "--config",
        ROOT / "recipes/ner/source_conll2003.yaml",
        "--train_sentences",
        "500",
        "--num_train_epochs",
        "3",
    ]
    words += ["--output_dir", tmp_path / "run", "--push_to_hub", "--hub_model_id", "local/test-ner"]
    environment = {"HF_TOKEN": os.environ.get("HF_TOKEN", "hf_local"), "HF_HUB_OFFLINE": "0"}
    run_python(ROOT / "recipes/ner.py", *words, env=environment)
    assert json.loads((tmp_path / "run/all_results.json").read_text())["test_f1"] > 0.3
    script = """
import sys; sys.modules["hf_recipes"] = None
from transformers import pipeline
tag = pipeline("token-classification", model="local/test-ner", aggregation_strategy="first")
print([each["word"] for each in tag("Grete Hermann wrote her thesis in Göttingen.")])
"""
    assert "hermann" in run_python("-c", script, env=environment).stdout
