import json
import logging

import numpy as np
import pytest
from conftest import ROOT, run_python
from hub import card_errors, running_hub
from PIL import Image
from sklearn.metrics import accuracy_score, log_loss
from transformers import pipeline

from hf_recipes import CifarClassifier, cli
from hf_recipes.checkpoints import read_json
from hf_recipes.cifar10.analysis import accuracy_by_class, confused_pairs, count_flops
from hf_recipes.cifar10.metrics import ClassificationQuality


def test_the_run_learns_and_measures(classifier_run):
    results = read_json(classifier_run / "all_results.json")
    assert results["test_accuracy"] > 0.7 > results["baselines"]["commonest class"]["accuracy"]
    assert results["train_accuracy"] > 0.7 and results["flops"] > 1000
    card = (classifier_run / "README.md").read_text()
    assert not card_errors(card)
    for expected in ("Confusion matrix", "Most confused pairs", "First-layer filters", "ridge on pixels"):
        assert expected in card
    assert "confusion_matrix.png" in {path.name for path in classifier_run.iterdir()}


def test_test_time_augmentation_is_declared(run_shapes, tmp_path):
    run_shapes(tmp_path, test_time_augmentation="flip", num_train_epochs=1, architecture="cnn", whitening=0)
    results, card = read_json(tmp_path / "all_results.json"), (tmp_path / "README.md").read_text()
    assert "test_accuracy_without_tta" in results
    assert "accuracy with test-time augmentation (flip)" in card and "accuracy without it" in card


@pytest.mark.parametrize("architecture", ["fully_connected", "cnn"])
def test_the_other_networks_run_without_any_augmentation(architecture, run_shapes, tmp_path):
    changes = {"flip": "none", "translate": 0, "label_smoothing": 0.0, "mixup": 0.2, "noise": 0.1, "dropout": 0.1}
    whitening = 20 if architecture == "fully_connected" else 0
    changes |= {"architecture": architecture, "whitening": whitening, "widths": [16, 16], "muon": False}
    results = run_shapes(tmp_path, num_train_epochs=1, pixel_permutation=0, **changes)
    assert 0 <= results["test_accuracy"] <= 1


def test_a_training_may_begin_with_small_images(run_shapes, tmp_path):
    results = run_shapes(tmp_path / "fast", small_size=12, small_until=0.5, activation="relu", num_train_epochs=2)
    assert (
        results["test_accuracy"] > 0.3
        and CifarClassifier.from_pretrained(tmp_path / "fast").config.activation == "relu"
    )
    with pytest.raises(ValueError, match="--small_size: a cnn takes one size"):
        run_shapes(tmp_path / "cnn", small_size=12, architecture="cnn", whitening=0)


def test_metrics_are_those_of_scikit_learn():
    generator = np.random.default_rng(0)
    logits, labels = generator.normal(size=(50, 4)), generator.integers(0, 4, 50)
    metrics = ClassificationQuality().compute(predictions=logits, references=labels)
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert metrics["accuracy"] == pytest.approx(accuracy_score(labels, logits.argmax(1)))
    assert metrics["log_loss"] == pytest.approx(log_loss(labels, shares))


def test_tables_of_the_confusion():
    confusion = np.array([[8, 2, 0], [5, 5, 0], [0, 1, 9]])
    assert accuracy_by_class(confusion, ["a", "b", "c"])[0] == {
        "class": "b",
        "images": 10,
        "recall": 0.5,
        "precision": 0.625,
    }
    first, second = confused_pairs(confusion, ["a", "b", "c"])
    assert first == {"pair": "a and b", "first as second": 2, "second as first": 5, "share of all mistakes, %": 87.5}
    assert second["pair"] == "b and c"


def test_flops_of_a_dense_network_are_twice_its_weights():
    from hf_recipes import CifarClassifierConfig

    model = CifarClassifier(CifarClassifierConfig(architecture="fully_connected", image_size=[8, 8], widths=[10, 20]))
    weights = sum(value.numel() for name, value in model.named_parameters() if value.ndim == 2)
    assert count_flops(model) == 2 * weights


def test_classify_prints_classes_with_probabilities(classifier_run, shapes, tmp_path, capsys, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("transformers"), "handlers", [caplog.handler])
    photograph = tmp_path / "photo.jpg"
    Image.open(shapes / "test/cross/00.png").resize((300, 200)).save(photograph)
    assert cli.main(["classify", str(photograph), "--model", str(classifier_run), "--top", "2", "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["image"] == str(photograph) and len(row["classes"]) == 2
    assert sum(each["score"] for each in row["classes"]) <= 1.0001
    assert cli.main(["classify", str(photograph), "--model", str(classifier_run)]) == 0
    assert row["classes"][0]["label"] in capsys.readouterr().out
    assert not caplog.records  # transformers would say that it does not know the class


def test_a_pushed_model_classifies_a_photograph_where_hf_recipes_is_missing(classifier_run, shapes, tmp_path):
    photograph = tmp_path / "photo.png"
    Image.open(shapes / "test/stripes/01.png").resize((333, 150)).save(photograph)
    model = CifarClassifier.from_pretrained(classifier_run)
    expected = pipeline("image-classification", model=model, image_processor=str(classifier_run))(str(photograph))
    env = {"HF_TOKEN": "hf_local", "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path / "home")}
    with running_hub(tmp_path / "hub") as endpoint:
        env["HF_ENDPOINT"] = endpoint
        settings = read_json(classifier_run / "settings.json")["options"]
        words = [f"--{key}={value}" for key, value in settings.items() if not isinstance(value, list)]
        words += ["--widths", *map(str, settings["widths"])]
        push = ["--push_to_hub", "--hub_model_id", "local/shapes", "--output_dir", classifier_run]
        run_python(ROOT / "recipes/cifar10.py", *words, *push, env=env)
        script = f"""
import sys; sys.modules["hf_recipes"] = None
import json
from transformers import pipeline
classify = pipeline("image-classification", model="local/shapes", trust_remote_code=True)
print(json.dumps(classify({str(photograph)!r})))
"""
        done = run_python("-c", script, env=env, cwd=tmp_path)
    found = json.loads(done.stdout.splitlines()[-1])
    assert [each["label"] for each in found] == [each["label"] for each in expected]
    assert [each["score"] for each in found] == pytest.approx([each["score"] for each in expected], abs=1e-5)
