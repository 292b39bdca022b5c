import json
import shutil

import numpy as np
import pytest
import safetensors.torch
import torch
from conftest import go_back, hub_env, load_recipe, run_python
from hub import card_errors, running_hub
from pictures import draw_picture
from PIL import Image
from torch import nn

from hf_recipes import SuperResolutionPipeline, SuperResolver, SuperResolverConfig
from hf_recipes.checkpoints import read_json, write_json
from hf_recipes.super_resolution.analysis import describe_protocol
from hf_recipes.super_resolution.card import describe_training
from hf_recipes.super_resolution.losses import frequency_loss


def test_the_run_beats_bicubic_interpolation(upscaler_run):
    results, card = read_json(upscaler_run / "all_results.json"), (upscaler_run / "README.md").read_text()
    bicubic = results["baselines"]["bicubic"]
    assert results["test_bench_psnr"] > bicubic["bench_psnr"] + 0.5
    assert results["test_bench_ssim"] > bicubic["bench_ssim"]
    convolutions = [
        each for each in SuperResolver.from_pretrained(upscaler_run).modules() if isinstance(each, nn.Conv2d)
    ]
    weights = sum(each.weight.numel() for each in convolutions)
    assert results["multiply_adds"] == pytest.approx(weights * 640 * 360, rel=0.05)  # interpolation is not counted
    assert results["receptive_field"] == 11 and results["seconds_a_megapixel"] > 0
    assert not card_errors(card)
    for expected in ("y_channel_matlab", "Where it gains", "bench PSNR", "Lanczos"):
        assert expected in card
    for figure in ("where_it_gains.png", "where_it_loses.png", "picture.png"):
        assert (upscaler_run / figure).exists()


def test_perceptual_training_goes_on_from_a_network(run_upscaler, upscaler_run, vgg, tmp_path):
    options = {
        "start_from": upscaler_run,
        "perceptual_layers": ["relu1_2"],
        "perceptual_backbone": vgg,
        "lpips": True,
        "num_train_epochs": 6,
        "learning_rate": 1e-3,
    }
    before = read_json(upscaler_run / "all_results.json")
    results = run_upscaler(tmp_path / "features", perceptual_weight=1.0, **options)
    pixels = run_upscaler(tmp_path / "pixels", perceptual_weight=0.0, **options)
    assert results["test_bench_psnr"] > before["baselines"]["bicubic"]["bench_psnr"]
    assert results["test_bench_lpips"] < pixels["test_bench_lpips"]
    assert results["eval_lpips"] < pixels["eval_lpips"] and "eval_lpips" not in before  # whose run asked for none
    # the network that it went on from is measured beside it
    beside = results["baselines"]["the network before"]
    assert beside["bench_psnr"] == pytest.approx(before["test_bench_psnr"], abs=1e-4)
    scores = results["examples"]["scores"]
    assert np.mean(scores["bench_psnr"]["model"]) == pytest.approx(results["test_bench_psnr"], abs=1e-4)
    assert np.mean(scores["bench_lpips"]["bicubic"]) == pytest.approx(
        results["baselines"]["bicubic"]["bench_lpips"], abs=1e-4
    )
    weights = safetensors.torch.load_file(tmp_path / "features/model.safetensors")
    assert set(weights) == set(safetensors.torch.load_file(upscaler_run / "model.safetensors"))  # no VGG among them
    card = (tmp_path / "features/README.md").read_text()
    assert "relative squared error of VGG16's features (1 x relu1_2)" in card and "in part by construction" in card
    assert "x2 (light, perceptual loss)" in card and "|  | bench PSNR | bench LPIPS |" in card and "lattice" in card
    assert "a trained light network that makes images 2 times as large, whose training took 0 minutes more." in card


def test_the_card_counts_all_trainings_behind_a_network(tmp_path):
    for folder, minutes, options in (("first", 74, {}), ("second", 57, {"start_from": str(tmp_path / "first")})):
        SuperResolver(SuperResolverConfig(scale=4)).save_pretrained(tmp_path / folder)
        write_json(tmp_path / folder / "all_results.json", {"train_seconds": 60 * minutes})
        write_json(tmp_path / folder / "settings.json", {"options": options})
    recipe = load_recipe("super_resolution").SuperResolutionArguments(start_from=str(tmp_path / "second"))
    text = describe_training(recipe)
    assert text.endswith("whose training took 57 minutes more, after 74 of what it had gone on from itself.")
    shutil.rmtree(tmp_path / "first")
    assert describe_training(recipe).endswith("whose training took 57 minutes more.")


def test_options_arrive_where_they_are_read(run_upscaler, made_trainers, tmp_path):
    trainers = made_trainers("super_resolution")
    run_upscaler(tmp_path, pixel_loss="mse", frequency_weight=0.5)
    image, target = torch.rand(2, 2, 3, 8, 8)
    loss = trainers[0].compute_loss_func({"reconstruction": image}, target)
    assert loss == pytest.approx(((image - target) ** 2).mean() + 0.5 * frequency_loss(image, target))


def test_another_scale_starts_from_all_but_the_last_layer(run_upscaler, upscaler_run, no_report, tmp_path):
    no_report("super_resolution")
    run_upscaler(tmp_path, scale=4, benchmarks=["none"], start_from=upscaler_run, max_steps=1, learning_rate=0.0)
    source = safetensors.torch.load_file(upscaler_run / "model.safetensors")
    made = safetensors.torch.load_file(tmp_path / "model.safetensors")
    differ = {name for name in made if made[name].shape != source[name].shape or not made[name].equal(source[name])}
    assert (
        differ == {"network.last.weight", "network.last.bias"}
        and SuperResolver.from_pretrained(tmp_path).config.scale == 4
    )
    with pytest.raises(ValueError, match=r"--start_from .* is another network"):
        run_upscaler(tmp_path / "other", width=12, start_from=upscaler_run)


def test_a_resumed_run_ends_where_an_unbroken_one_does(run_upscaler, no_report, tmp_path):
    no_report("super_resolution")
    options = {
        "num_train_epochs": 4,
        "save_strategy": "steps",
        "save_steps": 3,
        "save_total_limit": 9,
        "weight_average": 0.9,
        "architecture": "espcn",
        "width": 32,
        "blocks": 10,
    }
    whole = run_upscaler(tmp_path / "whole", **options)
    go_back(tmp_path / "whole", tmp_path / "part", 3)
    resumed = run_upscaler(tmp_path / "part", **options)
    assert resumed["test_bench_psnr"] == pytest.approx(whole["test_bench_psnr"], abs=1e-6)


def test_without_benchmarks_images_are_drawn(run_upscaler, no_report, tmp_path):
    no_report("super_resolution")
    results = run_upscaler(tmp_path, benchmarks=["none"], max_steps=2, eval_strategy="steps", eval_steps=1)
    assert results["test_psnr"] > 10 and results["eval_psnr"] > 10 and results["train_examples"] == 6
    assert "2 images, drawn by the seed" in (tmp_path / "README.md").read_text()


def test_a_pushed_network_works_where_hf_recipes_is_missing(push_run, run_upscaler, upscaler_run, tmp_path):
    shutil.copytree(upscaler_run, tmp_path / "run")
    photograph = tmp_path / "photo.png"
    Image.fromarray(draw_picture(55, 30, 41)).save(photograph)
    with running_hub(tmp_path / "hub") as endpoint:
        push_run("super_resolution", tmp_path / "run", "local/upscaler", endpoint)
        script = f"""
import sys; sys.modules["hf_recipes"] = None
from transformers import pipeline
upscale = pipeline("image-to-image", model="local/upscaler", trust_remote_code=True)
upscale({str(photograph)!r}).save({str(tmp_path / "large.png")!r})
"""
        run_python("-c", script, env=hub_env(endpoint, tmp_path / "home"), cwd=tmp_path)
    ours = SuperResolutionPipeline(model=SuperResolver.from_pretrained(upscaler_run))(str(photograph))
    assert abs(np.asarray(Image.open(tmp_path / "large.png")).astype(int) - np.asarray(ours)).max() <= 1
    config = json.loads((tmp_path / "run/config.json").read_text())
    assert list(config["custom_pipelines"]) == ["image-to-image"]


def test_a_protocol_that_is_not_the_published_one_says_so():
    def describe(psnr: float) -> str:
        row = {"source": "set5", "given": True, "metrics": {"bicubic": {"psnr": psnr}}}
        return describe_protocol(2, [row], None)

    assert "Set5 33.66 (published 33.66)." in describe(33.66) and "too far off" not in describe(33.7)
    assert "too far off" in describe(33.4)
