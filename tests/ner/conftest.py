"""Sentences in which the letters of words tell the names, and the recipe run on them."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import run_tiny_recipe
from datasets import ClassLabel, Dataset, Features, List, Value
from transformers import BertConfig, BertModel

from hf_recipes.ner.labels import tag_names

# what a word begins with
SYLLABLES = {"O": "it", "B-PER": "an", "I-PER": "en", "B-LOC": "om", "I-LOC": "um"}


def make_sentences(number: int, seed: int, types: dict[str, str]) -> tuple[list[list[str]], list[list[str]]]:
    """Words whose first letters say what part of a name they are; types are called as `types` says."""
    generator = np.random.default_rng(seed)
    words, tags = [], []
    for _ in range(number):
        of_words = ["O"]
        for _ in range(generator.integers(2, 8)):
            inside = [f"I-{of_words[-1][2:]}"] * 2 if of_words[-1] != "O" else []
            of_words.append(str(generator.choice(["O", "O", "B-PER", "B-LOC", *inside])))
        words.append([SYLLABLES[tag] + "".join(generator.choice(list("bdfg"), 2)) for tag in of_words])
        tags.append([tag if tag == "O" else f"{tag[:2]}{types[tag[2:]]}" for tag in of_words])
    return words, tags


def save_data(folder: Path, types: dict[str, str]) -> Path:
    folder.mkdir()
    names = tag_names(types.values())
    features = Features({"tokens": List(Value("string")), "ner_tags": List(ClassLabel(names=names))})
    for seed, (split, number) in enumerate((("train", 120), ("validation", 20), ("test", 40))):
        words, tags = make_sentences(number, seed, types)
        Dataset.from_dict({"tokens": words, "ner_tags": tags}, features=features).to_parquet(
            folder / f"{split}.parquet"
        )
    return folder


@pytest.fixture(scope="session")
def run_ner(letters, tmp_path_factory):
    """`run_ner(folder, **options)` runs the recipe on people and places with a tiny BERT."""
    place = tmp_path_factory.mktemp("ner")
    data = save_data(place / "data", {"PER": "PER", "LOC": "LOC"})
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(letters), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64
    )
    BertModel(config).save_pretrained(place / "encoder")
    letters.save_pretrained(place / "encoder")
    tiny = {
        "dataset": data,
        "model": place / "encoder",
        "per_device_train_batch_size": 8,
        "num_train_epochs": 8,
        "learning_rate": 0.003,
        "max_length": 24,
        "stride": 6,
        "train_sampling_strategy": "group_by_length",
        "precision": "fp32",
        "seed": 1,
    }

    return partial(run_tiny_recipe, "ner", tiny)


@pytest.fixture(scope="session")
def tagger(run_ner, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tagger") / "run"
    run_ner(folder)
    return folder


@pytest.fixture(scope="session")
def other_data(tmp_path_factory) -> Path:
    """The same sentences; places come first and both are called otherwise."""
    return save_data(tmp_path_factory.mktemp("other") / "data", {"LOC": "location", "PER": "person"})
