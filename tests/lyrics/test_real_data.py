"""Checks on 1,000 songs; they need HF_ENDPOINT."""

import json

import numpy as np
import pytest
from conftest import load_recipe, run_python, run_recipe

from hf_recipes.lyrics.data import load_songs
from hf_recipes.words import learn_phrases

pytestmark = pytest.mark.hub

SONGS = "local/tcc-ceds-1000"
VECTORS = f"""
import json
from hf_recipes.lyrics.data import load_songs
from hf_recipes.word_vectors import train_vectors
songs = load_songs({SONGS!r}, label_column="genre")
vectors = train_vectors(songs.splits["train"]["words"][:], size=20, epochs=2, seed=3)
print(json.dumps([vectors.words[:50], vectors.vectors[:50].tolist()]))
"""


def test_folds_of_the_songs():
    songs = load_songs(SONGS, label_column="genre", year_column="release_date")
    assert len(songs.names) == 7 and songs.duplicates < 50
    groups = [set(split["group"]) for split in songs.splits.values()]
    assert not (groups[0] & groups[1] or groups[0] & groups[2] or groups[1] & groups[2])
    assert sum(map(len, songs.splits.values())) + songs.duplicates == 1000
    years = songs.splits["train"]["year"][:]
    assert min(years) >= 1950 and max(years) <= 2019
    shares = [np.bincount(split["label"], minlength=7) / len(split) for split in songs.splits.values()]
    assert abs(shares[0] - shares[2]).max() < 0.04
    phrases = learn_phrases(songs.splits["train"]["words"][:], min_count=5)
    assert phrases and all(len(phrase.split(" ")) == 2 for phrase in phrases)


def test_two_processes_train_the_same_vectors(tmp_path):
    first, second = (run_python("-c", VECTORS, env={"PYTHONHASHSEED": seed}).stdout for seed in ("1", "2"))
    assert json.loads(first.splitlines()[-1]) == json.loads(second.splitlines()[-1])


def test_a_short_run_on_valences(tmp_path):
    config = load_recipe("lyrics").__file__.removesuffix(".py") + "/valence_word2vec.yaml"
    results = run_recipe(
        load_recipe("lyrics"), config=config, dataset=SONGS, output_dir=tmp_path / "run", num_train_epochs=2, vector_epochs=2
    )  # fmt: skip
    assert np.isfinite(results["test_r2"]) and 0 < results["test_mae"] < 0.5
    assert results["baselines"]["TF-IDF, ridge"]["r2"] > results["baselines"]["mean of the training songs"]["r2"]
