import json
from collections import Counter

import numpy as np
import pytest
import torch
from conftest import go_back, hub_env, run_python
from datasets import Dataset
from hub import card_errors, running_hub
from lyrics_rows import GENRES, make_songs, save_songs
from sklearn.svm import LinearSVC
from transformers import pipeline

from hf_recipes import cli
from hf_recipes.checkpoints import read_json
from hf_recipes.intervals import resample
from hf_recipes.lyrics import analysis
from hf_recipes.lyrics.baselines import say, sentiments
from hf_recipes.lyrics.data import load_songs, most_parts
from hf_recipes.lyrics.metrics import ClassScores, ValueScores
from hf_recipes.lyrics.training import standardize
from hf_recipes.word_vectors import WordVectors, mean_vectors

TEXT = "old road and wave sail tide gull night"


def test_genres_are_told(genre_run):
    results, card = read_json(genre_run / "all_results.json"), (genre_run / "README.md").read_text()
    assert results["test_accuracy"] > 0.9 > 0.6 > results["baselines"]["commonest class"]["accuracy"]
    assert results["baselines"]["TF-IDF, logistic regression"]["accuracy"] > 0.9
    assert results["baselines"]["mean word vector, logistic regression"]["accuracy"] > 0.9
    assert (
        len(results["baselines"]) == 10
        and results["accuracy_low"] <= results["test_accuracy"] <= results["accuracy_high"]
    )
    scores = results["examples"]["scores"]["accuracy"]
    assert len(scores) == 11 and np.mean(scores["model"]) == pytest.approx(results["test_accuracy"])
    assert [*results["baselines"]][-1] == "TF-IDF-weighted word vector, linear SVM"
    examples = results["examples"]
    assert set(examples["classes"]) == {*GENRES} and len(examples["strata"]) == len(examples["ids"])
    assert results["duplicates"] == 0 and len(results["examples"]["groups"]) == len(scores["model"])
    for name in scores.keys() - {"model"}:
        assert np.mean(scores[name]) == pytest.approx(results["baselines"][name]["accuracy"])
    assert not card_errors(card)
    for expected in (
        "By class",
        "Confusion matrix",
        "What the vectors know",
        "share no artist_name",
        "Words that mark a class",
        "Clusters",
        "Against people's judgment",
        "Songs that all get wrong",
    ):
        assert expected in card


@pytest.mark.parametrize("options", [{"pooling": "textcnn", "embeddings": "random"}, {"pooling": "attention"}])
def test_valences_are_told(run_lyrics, tmp_path, options):
    results = run_lyrics(
        tmp_path / "run", label_column="valence", learning_rate=0.01, num_train_epochs=20, dropout=0.0, **options
    )
    assert "Values of words" in (tmp_path / "run/README.md").read_text()
    assert results["test_r2"] > 0.2 and results["test_spearman"] > 0.5
    parts = np.array(results["examples"]["scores"]["r2"]["model"])
    assert parts[:, 0].sum() / parts[:, 1].sum() == pytest.approx(results["test_r2"], abs=1e-4)
    assert results["r2_low"] < results["test_r2"] < results["r2_high"]
    assert results["baselines"]["mean of the training songs"]["r2"] <= 0 < results["baselines"]["TF-IDF, ridge"]["r2"]
    tell = pipeline("text-classification", model=str(tmp_path / "run"), trust_remote_code=True)
    glad, sad = (
        tell(" ".join([*words] * 4))[0]["score"] for words in (("sun", "dance", "sweet"), ("rain", "alone", "gone"))
    )
    assert glad > sad + 0.3


def test_the_command_tells_the_class_of_a_text(genre_run, tmp_path, capsys):
    (tmp_path / "text.txt").write_text(TEXT)
    assert (
        cli.main(["classify-text", str(tmp_path / "text.txt"), "", "--model", str(genre_run), "--json", "--top", "2"])
        == 0
    )
    sea, nothing = (json.loads(line)["classes"] for line in capsys.readouterr().out.splitlines())
    assert sea[0]["label"] == "sea" and len(sea) == 2 and 0 <= nothing[0]["score"] <= 1
    assert cli.main(["classify-text", TEXT, "--model", str(genre_run)]) == 0
    assert capsys.readouterr().out.startswith("sea ")


def test_an_encoder_is_fine_tuned(run_lyrics, encoder, tmp_path, capsys):
    options = {"sentence_encoder": encoder, "fine_tune_encoder": True, "learning_rate": 0.01, "num_train_epochs": 30}
    results = run_lyrics(tmp_path / "run", **options)
    assert results["test_accuracy"] > results["baselines"]["commonest class"]["accuracy"] + 0.2
    assert "sentence encoder, logistic regression" in results["baselines"]
    assert "fine-tuned, from the output at its first token" in (tmp_path / "run/README.md").read_text()
    assert cli.main(["classify-text", TEXT, "--model", str(tmp_path / "run")]) == 0
    assert capsys.readouterr().out.splitlines()[-1].split()[0] in ("sea", "wood", "town")


def test_vectors_of_other_settings_are_not_taken(run_lyrics, tmp_path, monkeypatch):
    folder, groups = tmp_path / "run", []
    monkeypatch.setattr(
        analysis, "resample", lambda *args, **options: groups.append(options["groups"]) or resample(*args, **options)
    )
    with pytest.raises(OSError, match="no_such_encoder"):
        run_lyrics(folder, sentence_encoder=tmp_path / "no_such_encoder", fine_tune_encoder=True, vector_epochs=1)
    before = WordVectors.from_pretrained(folder / "_word_vectors")
    results = run_lyrics(folder, vector_epochs=2, vector_size=8, num_train_epochs=1, baselines=False)
    assert len(set(groups[0])) < len(groups[0]) / 2  # artists are drawn and not songs
    after = WordVectors.from_pretrained(folder / "_word_vectors")
    assert before.vectors.shape[1] == 16 and after.vectors.shape[1] == 8 and results["vocabulary"] == len(after.words)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fine_tune_encoder": True}, "give its id or folder"),
        ({"sentence_encoder": "x", "baselines": False}, "--baselines is off"),
        ({"year_column": "year"}, "--year_column is for --word_shifts"),
        ({"phrases": 2}, "--phrases is 2, and what occurs less than 3 times"),
    ],
)
def test_options_without_effect_are_refused(run_lyrics, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        run_lyrics(tmp_path / "run", **options)


def test_a_lexicon_of_too_few_words_is_named_before_the_training(run_lyrics, tmp_path):
    (tmp_path / "lexicon.csv").write_text("sun,1\nrain,0\n")
    with pytest.raises(ValueError, match="2 words of the lexicon have a vector"):
        run_lyrics(tmp_path / "run", lexicon=tmp_path / "lexicon.csv")
    assert not list((tmp_path / "run").glob("checkpoint-*"))


def test_frozen_vectors_stay_but_for_their_scale(genre_run, songs):
    from hf_recipes import WordVectorForSequenceClassification

    vectors, model = (
        WordVectors.from_pretrained(genre_run / "_word_vectors"),
        WordVectorForSequenceClassification.from_pretrained(genre_run),
    )
    documents = load_songs(str(songs), label_column="genre", seed=1).splits["train"]["words"][:]
    scaled = model.embeddings.weight[2:].detach().numpy()
    assert np.array_equal(scaled, standardize(vectors, documents, "mean", np.ones(len(scaled))))
    pooled = mean_vectors(documents, vectors._replace(vectors=scaled))
    assert np.allclose(pooled.mean(0), 0, atol=1e-4) and np.allclose(pooled.std(0), 1, atol=1e-3)
    # of the training songs alone, and of all of those
    counts = Counter(word for document in documents for word in document)
    assert dict(zip(vectors.words, vectors.counts)) == {word: count for word, count in counts.items() if count >= 3}


def test_words_are_scaled_by_how_often_they_occur_where_single_words_are_read():
    vectors = np.array([[0.0, 1.0], [3.0, 1.0], [9.0, 9.0]], np.float32)
    known = WordVectors(["a", "b", "c"], np.array([2, 1, 0]), vectors)
    scaled = standardize(known, [["a", "a", "b"]], "textcnn", np.ones(3))
    assert np.allclose(scaled[:2, 0], [-(0.5**0.5), 2**0.5]) and np.allclose(scaled[:2, 1], 0)
    weighted = standardize(known, [["a", "b"], ["b"]], "tfidf", np.array([2.0, 1.0, 1.0]))
    assert np.allclose(weighted[1, 0], 1)  # the texts are at 1 and 3


@pytest.mark.parametrize(("embeddings", "trained"), [("frozen", False), ("fine_tuned", True), ("random", True)])
def test_vectors_are_trained_unless_they_are_frozen(embeddings, trained, run_lyrics, made_trainers, tmp_path):
    trainers = made_trainers("lyrics")
    run_lyrics(tmp_path, embeddings=embeddings, vector_epochs=1)
    assert trainers[0].model.embeddings.weight.requires_grad is trained


def test_two_classes_of_a_machine_without_probabilities_are_told_apart():
    labels = [0, 1] * 20
    songs = np.array(labels)[:, None] * 1.0
    assert (say(LinearSVC().fit(songs, labels), songs, ["a", "b"]).argmax(1) == labels).all()


def test_values_begin_at_their_mean(run_lyrics, encoder, songs, tmp_path, monkeypatch):
    from hf_recipes.training import RecipeTrainer

    def stop(self, *args, **kwargs):
        rows = self.data_collator([self.train_dataset[row] for row in range(5)])
        self.model.eval()
        begun.append(self.model(**{name: rows[name] for name in rows if name not in ("labels", "index")}).logits)
        raise InterruptedError

    begun: list[torch.Tensor] = []
    monkeypatch.setattr(RecipeTrainer, "train", stop)
    values = load_songs(str(songs), label_column="valence", seed=1).splits["train"]["label"][:]
    for number, options in enumerate(({}, {"sentence_encoder": encoder, "fine_tune_encoder": True})):
        with pytest.raises(InterruptedError):
            run_lyrics(tmp_path / f"run{number}", label_column="valence", vector_epochs=1, **options)
    for answers in begun:
        assert answers.flatten().tolist() == pytest.approx([np.mean(values)] * 5)


def test_words_tell_by_the_scores_of_a_lexicon():
    rows = sentiments([["good", "bad", "tree", "good"], ["tree"]], {"good": 0.9, "bad": 0.1})
    assert np.allclose(rows[0], [1.9 / 3, np.std([0.9, 0.1, 0.9]), 1 / 3, 2 / 3, 0.75]) and rows[1].tolist() == [
        0.5,
        0,
        0,
        0,
        0,
    ]


def test_a_tenth_validates_where_classes_are_large_enough(songs):
    loaded = load_songs(str(songs), label_column="genre", seed=0)
    rest = len(loaded.splits["train"]) + len(loaded.splits["validation"])
    assert 0.05 < len(loaded.splits["validation"]) / rest < 0.2
    few = loaded.splits["train"].select(range(12))
    assert most_parts(few, None) == min(10, len(set(few["group"])))


def test_a_resumed_run_ends_where_an_unbroken_one_does(run_lyrics, no_report, tmp_path):
    no_report("lyrics")
    options = {
        "vector_epochs": 5,
        "num_train_epochs": 2,
        "save_strategy": "steps",
        "save_steps": 8,
        "save_total_limit": 9,
        "embeddings": "fine_tuned",
    }
    whole = run_lyrics(tmp_path / "whole", **options)
    go_back(tmp_path / "whole", tmp_path / "part", 8)
    resumed = run_lyrics(tmp_path / "part", **options)
    assert resumed["test_log_loss"] == pytest.approx(whole["test_log_loss"], abs=1e-6)


def test_folds_share_no_artist_and_cover_all_songs(songs):
    tested = []
    for seed in range(5):
        loaded = load_songs(str(songs), label_column="genre", seed=seed)
        groups = {name: set(split["group"]) for name, split in loaded.splits.items()}
        assert not groups["train"] & groups["test"] and not groups["train"] & groups["validation"]
        assert not groups["validation"] & groups["test"] and loaded.names == ["sea", "town", "wood"]
        assert sum(map(len, loaded.splits.values())) + loaded.duplicates == 240
        tested += loaded.splits["test"]["index"][:]
    assert len(tested) == len(set(tested)) == 240 - loaded.duplicates
    again = load_songs(str(songs), label_column="genre", seed=5)  # fold 1 of another cut
    assert set(again.splits["test"]["index"]) != set(
        load_songs(str(songs), label_column="genre", seed=0).splits["test"]["index"]
    )


def test_splits_of_a_data_set_stay_and_shared_artists_are_told(tmp_path, caplog):
    rows = make_songs(120)
    parts = {"train": slice(0, 80), "validation": slice(80, 100), "test": slice(100, 120)}
    rows["lyrics"][3], rows["lyrics"][101] = rows["lyrics"][100], rows["lyrics"][100]
    for name, part in parts.items():
        Dataset.from_dict({column: values[part] for column, values in rows.items()}).to_csv(tmp_path / f"{name}.csv")
    loaded = load_songs(str(tmp_path), label_column="genre")
    assert len(loaded.splits["test"]) == 20 and loaded.tested_on is None
    assert 3 not in loaded.splits["train"]["index"][:] and loaded.duplicates == 1
    assert loaded.shared == 20 and "20 of the test's values of artist_name are in the training songs too" in caplog.text
    assert load_songs(str(tmp_path), label_column="genre", group_column=None).shared == 0


def test_a_file_of_rows_will_do(tmp_path):
    file = save_songs(tmp_path / "data", make_songs(60)) / "train.csv"
    assert sum(map(len, load_songs(str(file), label_column="genre").splits.values())) == 60


def test_nearly_the_same_songs_are_left_out(tmp_path):
    rows = make_songs(60)
    rows["lyrics"][7] = rows["lyrics"][3].upper() + "!"
    rows["lyrics"][9] = " ".join([*rows["lyrics"][4].split(), "night"])
    loaded = load_songs(str(save_songs(tmp_path / "data", rows)), label_column="genre")
    kept = {index for split in loaded.splits.values() for index in split["index"]}
    assert loaded.duplicates == 2 and {7, 9} & kept == set()
    assert load_songs(str(tmp_path / "data"), label_column="genre", similarity=1.0).duplicates == 0


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({"lyrics": ""}, {}, "row 2 of train: lyrics is empty"),
        ({"genre": None}, {}, "row 2 of train: genre is missing"),
        ({"artist_name": None}, {}, "row 2 of train: artist_name is missing"),
        ({}, {"text_column": "valence"}, "row 0 of train: valence is 0.*, not a text. Choose with --text_column"),
        ({"valence": None}, {"label_column": "valence"}, "row 2 of train: valence is missing"),
        ({}, {"label_column": "mood"}, "train has no column 'mood'.*--label_column"),
        ({"genre": "fjord"}, {}, r"too few songs to cut into 5 folds: fjord \(1\)"),
        ({}, {"folds": 1}, "--folds is 1"),
        ({"artist_name": "x"}, {"year_column": "artist_name"}, "row 0 of train: artist_name is 'artist 0'; a number"),
    ],
)
def test_bad_songs_are_named(change, options, message, tmp_path):
    rows = make_songs(60)
    for column, value in change.items():
        rows[column][2] = value
    with pytest.raises(ValueError, match=message):
        load_songs(str(save_songs(tmp_path / "data", rows)), **{"label_column": "genre", **options})


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("window", 0, "--window is 0; it is 1 or more"),
        ("workers", 0, "--workers is 0"),
        ("vector_sample", -1.0, r"--vector_sample is -1\.0; it is 0 or more and at most 1"),
    ],
)
def test_options_that_cannot_be_are_refused(option, value, message, run_lyrics, tmp_path):
    with pytest.raises(ValueError, match=message):
        run_lyrics(tmp_path, **{option: value})


def test_scores_by_hand():
    logits = np.log([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.5, 0.4, 0.1]])
    scores = ClassScores().compute(predictions=logits, references=[0, 1, 1])
    assert scores["accuracy"] == pytest.approx(2 / 3) and scores["macro_f1"] == pytest.approx(2 / 3)
    assert scores["log_loss"] == pytest.approx(-np.log([0.7, 0.8, 0.4]).mean())
    scores = ValueScores().compute(predictions=[0.0, 1.0, 2.0], references=[0.0, 2.0, 1.0])
    assert scores == pytest.approx({"r2": 0.0, "mae": 2 / 3, "rmse": (2 / 3) ** 0.5, "spearman": 0.5})
    assert ValueScores().compute(predictions=[1.0, 1.0], references=[0.0, 2.0])["spearman"] == 0


def test_a_pushed_classifier_works_where_hf_recipes_is_missing(push_run, genre_run, tmp_path):
    (expected,) = pipeline("text-classification", model=str(genre_run), trust_remote_code=True)(TEXT)
    with running_hub(tmp_path / "hub") as endpoint:
        push_run("lyrics", genre_run, "local/genre", endpoint, hub_vectors_id="local/vectors")
        script = f"""
import sys; sys.modules["hf_recipes"] = None
import json
from transformers import pipeline
from huggingface_hub import ModelCard
from sentence_transformers import SentenceTransformer
print(json.dumps(ModelCard.load("local/vectors").text))
print(json.dumps(SentenceTransformer("local/vectors").encode({TEXT!r}).tolist()))
print(json.dumps(pipeline("text-classification", model="local/genre", trust_remote_code=True)({TEXT!r})))
"""
        done = run_python("-c", script, env=hub_env(endpoint, tmp_path / "home"), cwd=tmp_path)
    card, encoded, (found,) = map(json.loads, done.stdout.splitlines()[-3:])
    vectors = WordVectors.from_pretrained(genre_run / "_word_vectors")
    assert np.allclose(encoded, mean_vectors([TEXT.split()], vectors)[0], atol=1e-5)
    assert 'SentenceTransformer("local/vectors")' in card and "176 training songs" in card
    assert found["label"] == expected["label"] == "sea" and found["score"] == pytest.approx(expected["score"], abs=1e-5)
