"""The lyrics recipe run on verses."""

from functools import partial
from pathlib import Path

import pytest
from conftest import run_tiny_recipe
from lyrics_rows import make_songs, save_songs


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
