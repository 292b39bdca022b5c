import json
import shutil
from types import SimpleNamespace

import pytest
import safetensors.torch
import timm
import torch
from peft.tuners.lora import LoraLayer
from transformers import AutoModelForImageClassification

from hf_recipes.lora import merge_lora
from hf_recipes.transfer_learning.backbones import load_backbone, make_processor
from hf_recipes.transfer_learning.strategies import (
    Patience,
    Unfreezing,
    parameter_groups,
    prepare,
    stages_of,
)

NAMES = ["a", "b", "c"]


@pytest.fixture(params=["efficientnet", "pooled"])
def model(request, backbone, resnet):
    if request.param == "efficientnet":
        return load_backbone(str(backbone), NAMES)
    return load_backbone(str(resnet), NAMES, pooled_head=True)


def trained(model) -> set[str]:
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def test_stages_are_numbered_from_the_input_and_the_head_is_last(model):
    stage_of = stages_of(model)
    assert set(stage_of) == {name for name, _ in model.named_parameters()}
    assert sorted(set(stage_of.values())) == list(range(max(stage_of.values()) + 1))
    head = [name for name, stage in stage_of.items() if stage == max(stage_of.values())]
    assert len(head) == 2 and model.get_parameter(head[0]).shape[0] == 3
    assert stage_of[next(name for name, _ in model.named_parameters())] == 0


def test_each_strategy_trains_what_it_says(model):
    stage_of = stages_of(model)
    head = max(stage_of.values())
    prepare(model, "linear_probe")
    assert {stage_of[name] for name in trained(model)} == {head}
    prepare(model, "partial", stages=1)
    assert {stage_of[name] for name in trained(model)} == {head - 1, head}
    prepare(model, "full")
    assert trained(model) == set(stage_of)
    with pytest.raises(ValueError, match=f"--stages is {head + 1}; .* has {head} before its head"):
        prepare(model, "partial", stages=head + 1)


def test_low_rank_updates_are_merged_into_the_weights(model):
    images, before = torch.rand(2, 3, 32, 32), {name: value.clone() for name, value in model.state_dict().items()}
    plain = model.eval()(images).logits
    prepare(model, "lora", lora_rank=4)
    updates = {name for name in trained(model) if "lora_" in name}
    assert len(updates) > 4 and len(trained(model) - updates) == 2  # and the head
    assert model.eval()(images).logits.allclose(plain, atol=1e-6)  # they begin at nothing
    with torch.no_grad():
        for name in updates:
            torch.nn.init.normal_(model.get_parameter(name), std=0.2)
    expected = model(images).logits
    assert not expected.allclose(plain, atol=1e-3)
    merge_lora(model)
    assert not any(isinstance(module, LoraLayer) for module in model.modules())
    assert set(model.state_dict()) == set(before)
    assert model(images).logits.allclose(expected, rtol=1e-3, atol=1e-4)


def test_rates_fall_from_the_head_to_the_input(model):
    stage_of = stages_of(model)
    rates = {}
    for group in parameter_groups(model, 1.0, 0.1, layer_decay=0.5):
        for parameter in group["params"]:
            rates[parameter] = group["lr"]
            assert group["weight_decay"] == (0.1 if parameter.ndim > 1 else 0.0)
    assert len(rates) == len(stage_of)
    for name, parameter in model.named_parameters():
        assert rates[parameter] == pytest.approx(0.5 ** (max(stage_of.values()) - stage_of[name]))
    prepare(model, "linear_probe")
    assert sum(len(group["params"]) for group in parameter_groups(model, 1.0, 0.1)) == 2


def test_unfreezing_goes_from_the_head_down(model):
    callback, stage_of = Unfreezing(model, until=0.5), stages_of(model)
    lowest = []
    for step in range(10):
        callback.on_step_begin(None, SimpleNamespace(global_step=step, max_steps=10), None)
        lowest.append(min(stage_of[name] for name in trained(model)))
    assert lowest[0] == max(stage_of.values()) and lowest[5:] == [0] * 5
    assert lowest == sorted(lowest, reverse=True) and len(set(lowest)) > 2


def test_a_backbone_keeps_its_weights_and_its_own_preprocessing(backbone, resnet):
    for folder, pooled in ((backbone, False), (resnet, True)):
        model = load_backbone(str(folder), NAMES, image_size=48, crop_pct=0.9, pooled_head=pooled)
        config = make_processor(model).data_config
        assert config["input_size"] == (3, 48, 48) and config["crop_pct"] == 0.9
        assert tuple(config["mean"]) == (0.4, 0.5, 0.6) and tuple(config["std"]) == (0.2, 0.3, 0.25)
        source = safetensors.torch.load_file(folder / "model.safetensors")
        first = next(name for name in source if name.startswith("conv"))
        found = model.state_dict()[f"timm_model.{'backbone.' if pooled else ''}{first}"]
        assert found.equal(source[first])


def test_a_control_has_the_initial_weights_of_timm(backbone):
    pretrained, scratch = (load_backbone(str(backbone), NAMES, pretrained=each) for each in (True, False))
    for (name, ours), theirs in zip(scratch.named_parameters(), pretrained.parameters()):
        if ours.ndim == 4:
            assert not ours.equal(theirs)
            assert 0.5 < ours.std() / theirs.std() < 2, name  # the test's backbone has initial weights as well


def test_weights_that_are_missing_never_start_at_random_unsaid(backbone, tmp_path):
    folder = shutil.copytree(backbone, tmp_path / "backbone")
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    del weights["conv_head.weight"]
    safetensors.torch.save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"has no weights for timm_model\.conv_head\.weight, .* --pooled_head true"):
        load_backbone(str(folder), NAMES)


def test_vgg_has_no_classifier_and_needs_none(tmp_path):
    """As the repository at hand: no weights of the classifier, and 0 classes."""
    torch.manual_seed(0)
    network = timm.create_model("vgg11", num_classes=0)
    weights = {name: value for name, value in network.state_dict().items() if name.startswith("features")}
    cfg = {"input_size": [3, 32, 32], "mean": [0.5] * 3, "std": [0.5] * 3, "num_classes": 0, "crop_pct": 0.875}
    cfg |= {"interpolation": "bilinear", "first_conv": "features.0", "classifier": "head.fc"}
    folder = tmp_path / "vgg"
    folder.mkdir()
    config = {"architecture": "vgg11", "num_classes": 0, "pretrained_cfg": cfg}
    (folder / "config.json").write_text(json.dumps(config))
    safetensors.torch.save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    model = load_backbone(str(folder), NAMES, pooled_head=True)
    for name, value in weights.items():
        assert model.state_dict()[f"timm_model.backbone.{name.replace('.', '_', 1)}"].equal(value)
    prepare(model, "partial", stages=1)
    places = {int(name.split("features_")[1].split(".")[0]) for name in trained(model) if "features_" in name}
    assert places == {16, 18}  # the convolutions of the last block
    del weights["features.18.weight"]
    safetensors.torch.save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"has no weights for features_18\.weight"):
        load_backbone(str(folder), NAMES, pooled_head=True)
    with pytest.raises(ValueError, match=r"--drop_path 0\.1 does not go with --pooled_head"):
        load_backbone(str(folder), NAMES, pooled_head=True, drop_path=0.1)


def test_unknown_and_several_headed_networks_are_named(backbone, tmp_path):
    shutil.copytree(backbone, tmp_path / "other")
    config = json.loads((tmp_path / "other/config.json").read_text())
    (tmp_path / "other/config.json").write_text(json.dumps(config | {"architecture": "foo_net"}))
    with pytest.raises(OSError, match=r"--backbone .*other: .*foo_net"):
        load_backbone(str(tmp_path / "other"), NAMES)
    with pytest.raises(ValueError, match=r"--crop_pct is 1\.5; it is a share"):
        load_backbone(str(backbone), NAMES, crop_pct=1.5)


@pytest.mark.parametrize("names", [["x", "y", "z"], ["x", "y"]])
def test_the_names_of_a_source_are_forgotten(names, backbone, tmp_path):
    load_backbone(str(backbone), NAMES).save_pretrained(tmp_path / "first")
    load_backbone(str(tmp_path / "first"), names).save_pretrained(tmp_path / "second")
    again = AutoModelForImageClassification.from_pretrained(tmp_path / "second")
    assert list(again.config.id2label.values()) == names and again.timm_model.get_classifier().out_features == len(
        names
    )


def test_patience_goes_on_where_it_was():
    before = Patience(3)
    before.early_stopping_patience_counter = 2
    args = SimpleNamespace(load_best_model_at_end=True, metric_for_best_model="accuracy", eval_strategy="steps")
    callback, state = Patience(3), SimpleNamespace(stateful_callbacks={"Patience": before.state()})
    callback.on_train_begin(args, state, None)
    assert callback.early_stopping_patience_counter == 2


def test_bad_backbones_and_sizes(backbone, tmp_path):
    with pytest.raises(OSError, match="--backbone"):
        load_backbone(str(tmp_path / "nothing"), NAMES)
    with pytest.raises(ValueError, match="cannot take images of 0 x 0"):
        load_backbone(str(backbone), NAMES, image_size=0)
