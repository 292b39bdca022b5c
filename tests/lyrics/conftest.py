"""The lyrics recipe run on verses."""

from functools import partial
from pathlib import Path

import pytest
from conftest import run_tiny_recipe
from lyrics_rows import make_songs, save_songs
from tokenizers.processors import TemplateProcessing
from transformers import BertConfig, BertModel

from hf_recipes.words import make_tokenizer


@pytest.fixture(scope="session")
def songs(tmp_path_factory) -> Path:
    return save_songs(tmp_path_factory.mktemp("songs") / "data", make_songs(240))


@pytest.fixture(scope="session")
def run_lyrics(songs):
    """`run_lyrics(folder, **options)` runs the recipe on the verses in this process."""
    tiny = {
        "dataset": songs,
        "vector_size": 16,
        "window": 5,
        "vector_epochs": 60,
        "per_device_train_batch_size": 16,
        "num_train_epochs": 8,
        "learning_rate": 0.02,
        "precision": "fp32",
        "seed": 1,
    }

    return partial(run_tiny_recipe, "lyrics", tiny)


@pytest.fixture(scope="session")
def genre_run(run_lyrics, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("genre") / "run"
    run_lyrics(folder)
    return folder


@pytest.fixture(scope="session")
def encoder(tmp_path_factory) -> Path:
    """A tiny encoder that knows the words of the verses."""
    folder = tmp_path_factory.mktemp("encoder")
    words = sorted({word for text in make_songs(240)["lyrics"] for word in text.split()})
    tokenizer = make_tokenizer([*words, "[CLS]"])
    special = [("[CLS]", tokenizer.convert_tokens_to_ids("[CLS]"))]
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="[CLS] $A", special_tokens=special)
    tokenizer.model_max_length = 64
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
