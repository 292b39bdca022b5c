"""Texts in which a question word asks for a person or a place, and the recipe run on them with a tiny BERT."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import run_tiny_recipe
from question_answering_rows import save_rows
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

PEOPLE = ["Ann", "Bea", "Cem", "Dan", "Eve", "Fay"]
SURNAMES = ["Lee", "Moor", "Nash"]
PLACES = ["Rome", "Oslo", "Kiel", "Bonn", "Lima", "Graz"]
FILLERS = ["the", "so", "then", "and", "sang", "lived", "while", "often", "of", "."]
QUESTIONS = {"who": "person", "where": "place"}


def make_rows(number: int, seed: int) -> list[dict]:
    """Rows of SQuAD's form: one person, sometimes with a surname, and one place among other words."""
    generator = np.random.default_rng(seed)
    rows = []
    for n in range(number):
        person = [str(generator.choice(PEOPLE)), *generator.choice(SURNAMES, generator.integers(0, 2)).tolist()]
        answers = {"who": " ".join(person), "where": str(generator.choice(PLACES))}
        words = generator.choice(FILLERS, generator.integers(6, 12)).tolist()
        for place, text in zip(generator.choice(len(words), 2, replace=False), answers.values()):
            words[place] = text
        context, question = " ".join(words), str(generator.choice(list(QUESTIONS)))
        answer = {"text": [answers[question]], "answer_start": [context.index(answers[question])]}
        rows.append(
            {
                "id": f"{seed}-{n}",
                "title": f"article {n % 25}",
                "context": context,
                "question": question,
                "answers": answer,
            }
        )
    return rows


@pytest.fixture(scope="session")
def encoder(tmp_path_factory) -> Path:
    """A tiny BERT of whole words."""
    folder = tmp_path_factory.mktemp("encoder")
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    words = [*special, *PEOPLE, *SURNAMES, *PLACES, *FILLERS, *QUESTIONS]
    vocabulary = {word: place for place, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, vocabulary[name]) for name in ("[CLS]", "[SEP]")],
    )
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token"), special))
    inputs = ["input_ids", "token_type_ids", "attention_mask"]
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_input_names=inputs, **names).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64
    )
    BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def questions(tmp_path_factory) -> Path:
    return save_rows(
        tmp_path_factory.mktemp("questions") / "data", train=make_rows(300, 0), validation=make_rows(80, 1)
    )


@pytest.fixture(scope="session")
def run_reader(encoder, questions):
    """`run_reader(folder, **options)` runs the recipe on the texts in this process."""
    tiny = {
        "dataset": questions,
        "model": encoder,
        "per_device_train_batch_size": 16,
        "num_train_epochs": 12,
        "learning_rate": 0.005,
        "max_length": 96,
        "stride": 8,
        "train_sampling_strategy": "group_by_length",
        "precision": "fp32",
        "seed": 1,
    }

    return partial(run_tiny_recipe, "question_answering", tiny)


@pytest.fixture(scope="session")
def reader(run_reader, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("reader") / "run"
    run_reader(folder, sensitivity=20)
    return folder
