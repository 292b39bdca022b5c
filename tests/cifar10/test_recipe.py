import json
import logging
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import go_back, hub_env, load_recipe, run_python
from hub import card_errors, running_hub
from PIL import Image
from sklearn.metrics import accuracy_score, log_loss
from transformers import pipeline

from hf_recipes import CifarClassifier, cli
from hf_recipes.checkpoints import read_json
from hf_recipes.cifar10.analysis import count_flops, first_filters
from hf_recipes.cifar10.metrics import ClassificationQuality, compute_metrics
from hf_recipes.classification import accuracy_by_class, confused_pairs, plot_confusion
from hf_recipes.model_card import save_figure
from hf_recipes.training import RecipeTrainer


def test_the_run_learns_and_measures(classifier_run):
    results = read_json(classifier_run / "all_results.json")
    assert results["test_accuracy"] > 0.7 > results["baselines"]["commonest class"]["accuracy"]
    assert results["train_accuracy"] > 0.7 and results["flops"] > 1000
    card = (classifier_run / "README.md").read_text()
    assert not card_errors(card)
    for expected in ("Confusion matrix", "Most confused pairs", "First-layer filters", "ridge on pixels"):
        assert expected in card
    assert "confusion_matrix.png" in {path.name for path in classifier_run.iterdir()}


def test_test_time_augmentation_is_declared(run_shapes, no_report, tmp_path):
    no_report("cifar10")
    run_shapes(tmp_path, test_time_augmentation="flip", num_train_epochs=1, architecture="cnn", whitening=None)
    results, card = read_json(tmp_path / "all_results.json"), (tmp_path / "README.md").read_text()
    assert "test_accuracy_without_tta" in results
    assert "accuracy with test-time augmentation (flip)" in card and "accuracy without it" in card


@pytest.mark.parametrize("architecture", ["fully_connected", "cnn"])
def test_the_other_networks_learn_too(architecture, run_shapes, no_report, tmp_path):
    no_report("cifar10")
    changes = {"flip": "none", "translate": 0, "label_smoothing": 0.0, "mixup": 0.1, "noise": 0.1, "dropout": 0.1}
    whitening = 20 if architecture == "fully_connected" else None
    changes |= {"architecture": architecture, "whitening": whitening, "widths": [16, 16], "muon_learning_rate": 0.0}
    results = run_shapes(tmp_path, num_train_epochs=8, learning_rate=0.01, **changes)
    assert results["test_accuracy"] > 0.5  # of three classes


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"small_size": 4}, "--small_size is 4; the network halves it to nothing below 5"),
        ({"cutout": 99}, "--cutout is 99; with images of 16 pixels it is from 0 to 32"),
        ({"translate": 16}, "--translate is 16"),
        ({"label_smoothing": 1.5}, "--label_smoothing is 1.5"),
        ({"mixup": -1}, "--mixup is -1"),
    ],
)
def test_an_option_out_of_its_range_is_named(options, message, run_shapes, tmp_path):
    with pytest.raises(ValueError, match=message):
        run_shapes(tmp_path, **options)


def test_the_card_says_that_cifar10_is_re_encoded(tmp_path):
    from hf_recipes.cifar10.card import make_card

    recipe = load_recipe("cifar10").CifarArguments()
    card = make_card(recipe, 0.0, "JPEG (quality 75)", None)
    assert card.dataset_name == "CIFAR-10 re-encoded as JPEG (quality 75)" and card.dataset_id is None
    assert any("JPEG blurs" in each for each in card.limitations)
    original = make_card(recipe, 0.0, "PNG", None)
    assert original.dataset_name == "CIFAR-10" and original.dataset_id == "uoft-cs/cifar10"
    assert not any("JPEG" in each for each in original.limitations)


def test_filters_are_those_of_the_image_whatever_the_order_of_the_pixels():
    """Two networks that compute the same, one of them of pixels in another order, have the same pictures of filters."""
    from hf_recipes import CifarClassifierConfig

    size = {"architecture": "fully_connected", "image_size": [4, 4], "widths": [6], "num_labels": 3}
    plain = CifarClassifier(CifarClassifierConfig(**size))
    ordered = CifarClassifier(CifarClassifierConfig(**size, pixel_permutation=3))
    weights = plain.network.layers[0].linear.weight.detach().view(6, 3, 16)
    ordered.network.layers[0].linear.weight.data = weights[..., ordered.permutation].flatten(1)
    images = torch.rand(2, 3, 4, 4)
    assert torch.allclose(
        plain.network.layers[0].linear(images.flatten(1)),
        ordered.network.layers[0].linear(ordered.permute(images).flatten(1)),
        atol=1e-5,
    )
    pictures = [
        [axis.images[0].get_array() for axis in first_filters(each).axes if axis.images] for each in (plain, ordered)
    ]
    assert len(pictures[0]) == 6 and np.allclose(pictures[0], pictures[1], atol=1e-5)


def test_a_training_may_begin_with_small_images(run_shapes, no_report, tmp_path, monkeypatch):
    sides, compute_loss = [], RecipeTrainer.compute_loss

    def spy(self, model, inputs, *args, **kwargs):
        sides.append(inputs["pixel_values"].shape[-1])
        return compute_loss(self, model, inputs, *args, **kwargs)

    no_report("cifar10")
    monkeypatch.setattr(RecipeTrainer, "compute_loss", spy)
    results = run_shapes(tmp_path / "fast", small_size=12, small_until=0.5, activation="relu", num_train_epochs=2)
    assert sides == [12] * 5 + [16] * 5
    assert (
        results["test_accuracy"] > 0.3
        and CifarClassifier.from_pretrained(tmp_path / "fast").config.activation == "relu"
    )
    for changes in ({"architecture": "cnn", "whitening": None}, {"pixel_permutation": 0}):
        with pytest.raises(ValueError, match="--small_size: only a fast_cnn without --pixel_permutation"):
            run_shapes(tmp_path / "other", small_size=12, **changes)


def test_everything_may_train_in_the_end(run_shapes, no_report, tmp_path):
    no_report("cifar10")
    with pytest.raises(ValueError, match="give --eval_strategy no"):
        run_shapes(tmp_path / "asked", train_on_validation=True)
    results = run_shapes(tmp_path / "run", train_on_validation=True, eval_strategy="no", num_train_epochs=1)
    assert results["train_examples"] == 60 and "eval_accuracy" not in results and "test_accuracy" in results
    assert "validated while its settings were chosen train as well" in (tmp_path / "run" / "README.md").read_text()


def test_a_batch_larger_than_the_data_is_an_error_and_no_model(run_shapes, tmp_path):
    with pytest.raises(ValueError, match=r"no step: .* 51 training examples are fewer than a batch of 64"):
        run_shapes(tmp_path, per_device_train_batch_size=64)
    assert not (tmp_path / "all_results.json").exists()


def test_a_resumed_run_ends_where_an_unbroken_one_does(run_shapes, no_report, tmp_path):
    """In the middle of an epoch, with all that depends on the progress: mirroring, the small size, Muon, the schedule."""
    no_report("cifar10")
    options = {"small_size": 12, "small_until": 0.5, "num_train_epochs": 3, "weight_average": 0.9}
    options |= {"save_strategy": "steps", "save_steps": 3, "save_total_limit": 9}
    whole = run_shapes(tmp_path / "whole", **options)
    go_back(tmp_path / "whole", tmp_path / "part", 9)  # of 15 steps, 5 an epoch
    resumed = run_shapes(tmp_path / "part", **options)
    assert resumed["test_log_loss"] == pytest.approx(whole["test_log_loss"], abs=1e-5)


def test_options_arrive_where_they_are_read(run_shapes, made_trainers, tmp_path):
    trainers = made_trainers("cifar10")
    options = {"architecture": "fully_connected", "widths": [8, 8], "whitening": None, "muon_learning_rate": 0.0}
    options |= {"residual": True, "batch_norm": False, "dropout": 0.3, "pixel_permutation": 5, "train_fraction": 0.5}
    run_shapes(tmp_path, flip="random", cutout=3, noise=0.2, mixup=0.4, **options)
    (trainer,) = trainers
    config, augment = trainer.model.config, trainer.augment
    assert (config.residual, config.batch_norm, config.dropout, config.pixel_permutation) == (True, False, 0.3, 5)
    assert (augment.flip, augment.cutout, augment.noise, augment.mixup) == ("random", 3, 0.2, 0.4)
    assert augment in trainer.callback_handler.callbacks and len(trainer.train_dataset) < 30 < 51


def test_accuracy_without_test_time_augmentation_is_that_of_the_plain_logits():
    rows = SimpleNamespace(
        predictions={"logits": np.eye(2)[[0, 0]], "plain_logits": np.eye(2)[[1, 0]]},
        label_ids={"label": np.array([0, 0])},
    )
    found = compute_metrics(rows)
    assert (found["accuracy"], found["accuracy_without_tta"]) == (1.0, 0.5)


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


def test_a_confusion_of_many_classes_is_a_picture_of_bounded_size(tmp_path):
    for classes in (3, 300):
        names = [f"class {number}" for number in range(classes)]
        save_figure(plot_confusion(np.eye(classes, dtype=int), names), tmp_path / "confusion.png")
        assert max(Image.open(tmp_path / "confusion.png").size) < 2500


def test_flops_of_a_dense_network_are_twice_its_weights():
    from hf_recipes import CifarClassifierConfig

    model = CifarClassifier(CifarClassifierConfig(architecture="fully_connected", image_size=[8, 8], widths=[10, 20]))
    weights = sum(value.numel() for name, value in model.named_parameters() if value.ndim == 2)
    assert count_flops(model) == 2 * weights
    plain = CifarClassifier(CifarClassifierConfig(architecture="cnn", image_size=[8, 8], widths=[4, 6], num_labels=5))
    convolutions = 64 * 9 * (3 * 4 + 4 * 4) + 16 * 9 * (4 * 6 + 6 * 6)
    assert count_flops(plain) == 2 * (convolutions + 24 * 6 + 6 * 5)


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
    gray = tmp_path / "gray.png"
    Image.open(photograph).convert("L").save(gray)
    assert cli.main(["classify", str(gray), "--model", str(classifier_run), "--json"]) == 0
    pipe = pipeline(
        "image-classification",
        model=CifarClassifier.from_pretrained(classifier_run),
        image_processor=str(classifier_run),
    )
    expected = {each["label"]: each["score"] for each in pipe(Image.open(gray).convert("RGB"))}
    found = {each["label"]: each["score"] for each in json.loads(capsys.readouterr().out)["classes"]}
    assert found == pytest.approx(expected, abs=1e-4)
    assert {each["label"]: each["score"] for each in pipe(Image.open(gray))} == pytest.approx(expected, abs=1e-4)
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    assert cli.main(["classify", str(broken), str(photograph), "--model", str(classifier_run)]) == 1
    shown = capsys.readouterr()
    assert "broken.png" in shown.err and str(photograph) in shown.out
    assert not caplog.records  # transformers would say that it does not know the class


def test_a_pushed_model_classifies_a_photograph_where_hf_recipes_is_missing(push_run, classifier_run, shapes, tmp_path):
    photograph = tmp_path / "photo.png"
    Image.open(shapes / "test/stripes/01.png").resize((333, 150)).save(photograph)
    model = CifarClassifier.from_pretrained(classifier_run)
    expected = pipeline("image-classification", model=model, image_processor=str(classifier_run))(str(photograph))
    with running_hub(tmp_path / "hub") as endpoint:
        push_run("cifar10", classifier_run, "local/shapes", endpoint)
        script = f"""
import sys; sys.modules["hf_recipes"] = None
import json
from transformers import pipeline
classify = pipeline("image-classification", model="local/shapes", trust_remote_code=True)
print(json.dumps(classify({str(photograph)!r})))
"""
        done = run_python("-c", script, env=hub_env(endpoint, tmp_path / "home"), cwd=tmp_path)
    found = json.loads(done.stdout.splitlines()[-1])
    assert [each["label"] for each in found] == [each["label"] for each in expected]
    assert [each["score"] for each in found] == pytest.approx([each["score"] for each in expected], abs=1e-5)
