import math

import pytest
import torch
from torch import nn

from hf_recipes import CellCounter, CellCounterConfig

REGRESSORS = ("regressor", "deep_regressor")


def make_model(architecture="unet", **options) -> CellCounter:
    torch.manual_seed(0)
    options = {"image_size": [64, 48], "num_channels": 1} | options
    return CellCounter(CellCounterConfig(architecture=architecture, **options)).eval()


@pytest.mark.parametrize("size", [(64, 64), (61, 83), (7, 5), (1, 1)])
def test_the_unet_takes_any_size_and_its_density_sums_to_the_count(size):
    output = make_model(widths=[8, 8, 8])(torch.randn(2, 1, *size))
    assert output.density.shape == (2, *size)
    assert torch.allclose(output.density.sum((1, 2)), output.counts, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("architecture", REGRESSORS)
def test_the_regressors_are_trained_for_any_size(architecture):
    assert make_model(architecture, image_size=[67, 45])(torch.randn(2, 1, 67, 45)).counts.shape == (2,)


@pytest.mark.parametrize("architecture", REGRESSORS)
def test_the_regressors_refuse_other_sizes(architecture):
    model = make_model(architecture)
    assert model(torch.randn(3, 1, 64, 48)).counts.shape == (3,)
    with pytest.raises(ValueError, match=r"64 x 48 pixels only.*got 64 x 64.*unet"):
        model(torch.randn(1, 1, 64, 64))
    with pytest.raises(ValueError, match="64 x 48"):
        model(torch.randn(1, 1, 64, 48), pixel_mask=torch.zeros(1, 64, 48))


@pytest.mark.parametrize("architecture", ["unet", *REGRESSORS])
def test_initialisation_is_plain_torchs(architecture):
    """Every weight has the standard deviation that torch gives it, and not the 0.02 of transformers."""
    model = make_model(architecture, num_channels=3)
    checked = 0
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)) and module.weight.numel() > 2000:
            expected = 1 / math.sqrt(3 * module.weight[0].numel())  # of torch's uniform
            assert module.weight.std().item() == pytest.approx(expected, rel=0.1)
            assert module.weight.abs().max().item() <= expected * math.sqrt(3) * 1.001
            checked += 1
        if isinstance(module, nn.BatchNorm2d):
            assert torch.equal(module.weight, torch.ones_like(module.weight)) and not module.running_mean.any()
    assert checked >= 2


@pytest.mark.parametrize("architecture", ["unet", *REGRESSORS])
def test_a_round_trip_through_a_folder_keeps_every_output(architecture, tmp_path):
    model = make_model(architecture, count_mean=12.0, count_std=3.0)
    for buffer in model.buffers():  # as after training
        buffer.add_(torch.rand(buffer.shape).to(buffer.dtype) if buffer.is_floating_point() else 3)
    model.save_pretrained(tmp_path)
    inputs = torch.randn(2, 1, 64, 48)
    assert torch.equal(CellCounter.from_pretrained(tmp_path)(inputs).counts, model(inputs).counts)


def test_the_loss_is_zero_for_the_truth_and_sees_the_local_counts():
    model = make_model(widths=[8, 8], local_count_weight=1.0)
    blocks = torch.rand(2, 1, 32, 32)
    labels = (blocks / (100 * 4)).repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert model.density_losses(blocks, labels, None, (0, 0, 0, 0)).abs().max() < 1e-9
    off = model.density_losses(blocks + 1, labels, None, (0, 0, 0, 0))
    # 1 of scaled density is 256 blocks / 100 = 2.56 cells per window of 32 x 32 pixels: smooth L1 of 2.06
    assert off.tolist() == pytest.approx([1 + 2.06] * 2, rel=1e-4)


def test_a_mask_hides_what_was_padded():
    model = make_model(widths=[8, 8])
    pixels, labels, mask = torch.randn(1, 1, 32, 32), torch.rand(1, 32, 32), torch.ones(1, 32, 32)
    mask[:, :, 20:] = 0
    output = model(pixels, pixel_mask=mask, labels=labels * mask)
    assert not output.density[:, :, 20:].any()
    assert torch.allclose(output.counts, output.density[:, :, :20].sum((1, 2)))
    assert output.losses < model(pixels, labels=labels * mask).losses


def test_losses_are_per_image():
    for architecture in ("unet", *REGRESSORS):
        model = make_model(architecture, count_mean=5.0, count_std=2.0)
        pixels, labels = torch.randn(3, 1, 64, 48), torch.rand(3, 64, 48) / 500
        together = model(pixels, labels=labels)
        alone = [model(pixels[i : i + 1], labels=labels[i : i + 1]).loss for i in range(3)]
        assert torch.allclose(together.losses, torch.stack(alone), rtol=1e-3)
        assert torch.allclose(together.loss, together.losses.mean())


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"architecture": "vit"}, "architecture"),
        ({"architecture": "regressor", "image_size": None}, "image_size"),
        ({"local_count_size": 30}, "local_count_size"),
    ],
)
def test_a_wrong_config_names_the_field(options, word):
    with pytest.raises(Exception, match=word):
        CellCounterConfig(**options)


def test_weights_of_another_architecture_are_refused(tmp_path):
    make_model("regressor").save_pretrained(tmp_path)
    with pytest.raises(Exception, match=r"(?i)regressor.*unet|mismatch|missing|does not match"):
        CellCounter.from_pretrained(tmp_path, architecture="unet")
