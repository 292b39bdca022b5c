import json
import shutil

import numpy as np
import pytest
import safetensors.torch
import timm
import torch
from conftest import go_back, hub_env, run_python
from hub import card_errors, running_hub
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForImageClassification, pipeline

from hf_recipes import cli
from hf_recipes.checkpoints import read_json
from hf_recipes.transfer_learning.strategies import Unfreezing


def test_the_run_learns_and_measures(transfer_run):
    results, card = read_json(transfer_run / "all_results.json"), (transfer_run / "README.md").read_text()
    assert results["test_balanced_accuracy"] > 0.6
    assert {"commonest class", "nearest neighbour", "logistic regression"} == set(results["baselines"])
    examples = results["examples"]
    assert len(set(examples["ids"])) == 24 and np.mean(
        examples["scores"]["balanced_accuracy"]["model"]
    ) == pytest.approx(results["test_balanced_accuracy"], abs=1e-4)
    for name, row in results["baselines"].items():  # of the same images in the same order
        assert np.mean(examples["scores"]["balanced_accuracy"][name]) == pytest.approx(
            row["balanced_accuracy"], abs=1e-4
        )
    recalls = results["eval_recall_by_class"]
    assert set(recalls) == {"circle", "cross", "stripes"}
    assert np.mean(list(recalls.values())) == pytest.approx(results["eval_balanced_accuracy"], abs=1e-6)
    assert not card_errors(card)
    for expected in (
        "interval of the precision",
        "How sure the numbers are",
        "Highest losses",
        "Doubtful labels",
        "Calibration",
        "hf-hub:",
    ):
        assert expected in card
    for file in ("highest_losses.png", "training_against_validation.png", "most_confused_pairs.png"):
        assert (transfer_run / file).exists() and file in card
    history = read_json(transfer_run / "trainer_state.json")["log_history"]
    assert any("fitted_accuracy" in entry for entry in history)


def test_transformers_timm_and_the_pipeline_agree(transfer_run, shapes):
    image = Image.open(shapes / "test/cross/00.png").convert("RGB").resize((50, 40))
    model = AutoModelForImageClassification.from_pretrained(transfer_run).eval()
    processor = AutoImageProcessor.from_pretrained(transfer_run)
    other = timm.create_model(f"local-dir:{transfer_run}", pretrained=True).eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(other))
    with torch.no_grad():
        logits, theirs = model(**processor(image)).logits[0], other(transform(image)[None])[0]
    assert logits.allclose(theirs, atol=1e-4)
    scores = pipeline("image-classification", model=str(transfer_run))(image, top_k=3)
    expected = dict(zip(model.config.id2label.values(), logits.softmax(0).tolist()))
    assert {each["label"]: each["score"] for each in scores} == pytest.approx(expected, abs=1e-4)
    config = json.loads((transfer_run / "config.json").read_text())
    assert config["pretrained_cfg"]["input_size"] == [3, 32, 32] and config["label_names"] == [
        "circle",
        "cross",
        "stripes",
    ]


@pytest.mark.parametrize(
    "options",
    [
        {"strategy": "linear_probe", "balance": "weights"},
        {"strategy": "partial", "stages": 1, "balance": "sampling"},
        {"strategy": "gradual", "layer_decay": 0.8, "weight_average": 0.9},
        {"strategy": "lora", "lora_rank": 4, "freeze_batch_norm_at": 0.0},
        {"strategy": "scratch", "augmentation": "randaugment", "mixup": 0.2, "dropout": 0.1, "drop_path": 0.1},
    ],
    ids=lambda options: options["strategy"],
)
def test_every_strategy_ends_in_a_model_that_others_load(options, run_transfer, backbone, tmp_path):
    results = run_transfer(tmp_path / "run", num_train_epochs=2, **options)
    source = safetensors.torch.load_file(backbone / "model.safetensors")
    made = safetensors.torch.load_file(tmp_path / "run/model.safetensors")
    assert set(made) == set(source)  # merged, whole, with timm's own names
    kept = [name for name in source if made[name].shape == source[name].shape and made[name].equal(source[name])]
    if options["strategy"] == "linear_probe":
        assert len(kept) == len(source) - 2  # all but the head
    elif options["strategy"] == "partial":
        assert "conv_stem.weight" in kept and "bn1.running_mean" in kept  # frozen layers keep their statistics
    else:
        assert "conv_stem.weight" not in kept
    timm.create_model(f"local-dir:{tmp_path / 'run'}", pretrained=True)
    head = sum(made[name].numel() for name in made if made[name].shape != source[name].shape)
    trained, whole = results["trained_parameters"], results["parameters"]
    if options["strategy"] in ("linear_probe", "partial", "lora"):
        assert trained == head if options["strategy"] == "linear_probe" else head < trained < whole
    else:
        assert trained == whole
    assert results["train_examples"] == 51


@pytest.mark.parametrize(
    ("strategy", "option", "value"),
    [
        ("linear_probe", "mixup", 0.2),
        ("linear_probe", "augmentation", "light"),
        ("linear_probe", "layer_decay", 0.8),
        ("full", "stages", 1),
        ("partial", "lora_rank", 4),
    ],
)
def test_options_that_a_strategy_does_not_read_are_refused(strategy, option, value, run_transfer, tmp_path):
    with pytest.raises(ValueError, match=f"--{option} is of no use to --strategy {strategy}; it is for "):
        run_transfer(tmp_path, strategy=strategy, **{option: value})


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("mixup", -1.0, "--mixup is -1.0; it is 0 or more"),
        ("layer_decay", 1.5, "--layer_decay is 1.5; it is 0 or more and at most 1"),
        ("dropout", float("nan"), "--dropout is nan"),
        ("image_size", 6000, "--image_size is 6000; it is 1 or more and at most 512"),
        ("label_smoothing_factor", 0.1, "give --label_smoothing"),
    ],
)
def test_options_that_cannot_be_are_refused(option, value, message, run_transfer, tmp_path):
    with pytest.raises(ValueError, match=message):
        run_transfer(tmp_path, **{option: value})


@pytest.fixture
def unbalanced(shapes, tmp_path):
    """The shapes with few crosses to train on."""
    shutil.copytree(shapes, tmp_path / "unbalanced")
    for file in sorted((tmp_path / "unbalanced/train/cross").iterdir())[8:]:
        file.unlink()
    return tmp_path / "unbalanced"


def test_options_arrive_where_they_are_read(run_transfer, made_trainers, unbalanced, tmp_path):
    trainers = made_trainers("transfer_learning")
    options = {"augmentation": "light", "upside_down": True, "erasing": 0.2, "mixup": 0.2, "cutmix": 0.5}
    options |= {"hard_classes": ["cross"], "hard_augmentation": "randaugment", "label_smoothing": 0.1}
    run_transfer(tmp_path / "run", dataset=unbalanced, strategy="gradual", balance="weights", **options)
    run_transfer(tmp_path / "run", dataset=unbalanced, balance="sampling", redraw=True)
    weighted, sampled = trainers
    augment = weighted.augment
    assert (augment.pipeline, augment.upside_down, augment.erasing) == ("light", True, 0.2)
    assert (augment.mixup, augment.cutmix, augment.hard_classes, augment.hard_pipeline) == (
        0.2,
        0.5,
        [1],
        "randaugment",
    )
    assert any(isinstance(each, Unfreezing) for each in weighted.callback_handler.callbacks)
    counts = np.bincount(weighted.train_dataset.with_format(None)["label"])
    assert counts[1] == 7 and counts[0] == counts[2] == 17
    unsure, sure = torch.zeros(1, 3), torch.tensor([[9.0, 0.0, 0.0]])
    rare, common = (weighted.compute_loss_func({"logits": unsure}, torch.tensor([label])) for label in (1, 0))
    assert (rare / common).item() == pytest.approx(17 / 7)
    smoothed = weighted.compute_loss_func({"logits": sure}, torch.tensor([0])) / common * np.log(3)
    assert smoothed.item() == pytest.approx(0.1 * 18 / 3, abs=1e-3)
    # all splits are drawn anew: of 28, 16 and 28 images 15 % of each
    assert len(weighted.eval_dataset) == 3 + 1 + 3 and len(sampled.eval_dataset) == 4 + 2 + 4
    assert np.bincount(sampled.train_dataset.with_format(None)["label"]).tolist() == [20, 20, 20]


def test_the_least_calibration_error_is_the_best(run_transfer, made_trainers, tmp_path):
    trainers = made_trainers("transfer_learning")
    run_transfer(tmp_path, load_best_model_at_end=True, metric_for_best_model="ece")
    assert trainers[0].args.greater_is_better is False


def test_the_optimiser_is_the_one_that_is_asked_for(run_transfer, no_report, tmp_path):
    no_report("transfer_learning")
    run_transfer(tmp_path, num_train_epochs=1, optim="sgd", optim_args="momentum=0.9", layer_decay=0.5)
    (checkpoint,) = tmp_path.glob("checkpoint-*")
    groups = torch.load(checkpoint / "optimizer.pt")["param_groups"]
    assert len(groups) > 2 and {group["momentum"] for group in groups} == {0.9}


def test_hard_classes_are_checked(run_transfer, tmp_path):
    with pytest.raises(ValueError, match="--hard_classes: no class is called zebra; there are circle, cross, stripes"):
        run_transfer(tmp_path, hard_classes=["zebra"])


def test_early_stopping_needs_the_best_model(run_transfer, no_report, tmp_path):
    no_report("transfer_learning")
    with pytest.raises(ValueError, match="--load_best_model_at_end"):
        run_transfer(tmp_path, early_stopping=1)
    results = run_transfer(
        tmp_path,
        early_stopping=1,
        num_train_epochs=30,
        learning_rate=0.0,
        load_best_model_at_end=True,
        metric_for_best_model="balanced_accuracy",
    )
    assert results["steps"] == 2 * results["chosen_step"]  # nothing is learned, so the second validation ends it


@pytest.mark.parametrize(
    "options",
    [
        {"augmentation": "randaugment", "mixup": 0.2, "erasing": 0.3, "weight_average": 0.9},
        {"strategy": "lora", "lora_rank": 4},
        {"strategy": "gradual"},
        {"strategy": "linear_probe"},
    ],
    ids=["augmented", "lora", "gradual", "linear_probe"],
)
def test_a_resumed_run_ends_where_an_unbroken_one_does(options, run_transfer, no_report, tmp_path):
    no_report("transfer_learning")
    options = {**options, "num_train_epochs": 3, "save_strategy": "steps", "save_steps": 4, "save_total_limit": 9}
    whole = run_transfer(tmp_path / "whole", **options)
    go_back(tmp_path / "whole", tmp_path / "part", 8)
    resumed = run_transfer(tmp_path / "part", **options)
    assert resumed["test_log_loss"] == pytest.approx(whole["test_log_loss"], abs=1e-5)


def test_classify_serves_these_models_as_well(transfer_run, shapes, capsys):
    photograph = shapes / "test/stripes/01.png"
    assert cli.main(["classify", str(photograph), "--model", str(transfer_run), "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    expected = pipeline("image-classification", model=str(transfer_run))(str(photograph), top_k=3)
    assert [each["label"] for each in row["classes"]] == [each["label"] for each in expected]
    assert [each["score"] for each in row["classes"]] == pytest.approx([each["score"] for each in expected], abs=1e-5)


def test_a_head_without_weights_classifies_nothing(transfer_run, shapes, tmp_path, capsys):
    shutil.copytree(transfer_run, tmp_path / "run")
    weights = safetensors.torch.load_file(tmp_path / "run/model.safetensors")
    kept = {name: value for name, value in weights.items() if not name.startswith("classifier")}
    safetensors.torch.save_file(kept, tmp_path / "run/model.safetensors", metadata={"format": "pt"})
    assert len(kept) < len(weights)
    assert cli.main(["classify", str(shapes / "test/stripes/01.png"), "--model", str(tmp_path / "run")]) == 1
    assert "which would start at random" in capsys.readouterr().err


def test_a_pushed_pooled_network_works_where_hf_recipes_is_missing(push_run, run_transfer, resnet, tmp_path, capsys):
    run_transfer(tmp_path / "run", backbone=resnet, pooled_head=True, num_train_epochs=1)
    photograph = tmp_path / "photo.png"
    pixels = np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(photograph)
    with running_hub(tmp_path / "hub") as endpoint:
        push_run("transfer_learning", tmp_path / "run", "local/pooled", endpoint)
        script = f"""
import sys; sys.modules["hf_recipes"] = None
import json
from transformers import pipeline
classify = pipeline("image-classification", model="local/pooled", trust_remote_code=True)
print(json.dumps(classify({str(photograph)!r})))
"""
        found = json.loads(
            run_python("-c", script, env=hub_env(endpoint, tmp_path / "home"), cwd=tmp_path).stdout.splitlines()[-1]
        )
    capsys.readouterr()
    assert cli.main(["classify", str(photograph), "--model", str(tmp_path / "run"), "--json"]) == 0
    expected = json.loads(capsys.readouterr().out)["classes"]
    assert [each["label"] for each in found] == [each["label"] for each in expected]
    assert [each["score"] for each in found] == pytest.approx([each["score"] for each in expected], abs=1e-4)


def test_a_pushed_network_is_one_of_transformers_and_of_timm(push_run, transfer_run, compare_loaders, shapes, tmp_path):
    shutil.copytree(transfer_run, tmp_path / "run")
    image = Image.open(shapes / "test/cross/00.png").convert("RGB").resize((50, 40))
    image.save(tmp_path / "photo.png")
    with running_hub(tmp_path / "hub") as endpoint:
        push_run("transfer_learning", tmp_path / "run", "local/fine-tuned", endpoint)
        env = hub_env(endpoint, tmp_path / "home")
        found = compare_loaders("local/fine-tuned", tmp_path / "photo.png", env=env, cwd=tmp_path)
    assert found == "True True (3, 32, 32)"
