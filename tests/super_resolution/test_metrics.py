import numpy as np
import pytest
import torch
from pictures import draw_picture
from torchvision.transforms.functional import center_crop

from hf_recipes.super_resolution.losses import FEATURE_ERRORS, PerceptualLoss, frequency_loss, make_loss
from hf_recipes.super_resolution.metrics import judge, luminance, to_images
from hf_recipes.super_resolution.vgg import LAYERS, Lpips, load_vgg


def test_luminance_is_that_of_the_studio_range():
    colours = np.array([[[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)
    # MATLAB: rgb2ycbcr, before its rounding
    assert luminance(colours)[0] == pytest.approx([16, 235, 81.481, 144.553, 40.966], abs=1e-3)


def test_an_error_of_one_level_in_green_has_the_psnr_that_its_share_of_the_luminance_gives():
    target = draw_picture(1) // 2
    image = target.copy()
    image[..., 1] += 1
    found = judge(image, target, 2)
    assert found["psnr"] == pytest.approx(20 * np.log10(255 / (128.553 / 255)), abs=1e-4)
    assert found["rgb_psnr"] == pytest.approx(10 * np.log10(255**2 * 3), abs=1e-4)
    assert 0.99 < found["ssim"] < 1


def test_the_border_does_not_count():
    target = draw_picture(2)
    image = target.copy()
    image[:3], image[:, -3:] = 0, 0
    assert judge(image, target, 3)["psnr"] == 100 and judge(image, target, 3)["ssim"] == pytest.approx(1)
    assert judge(image, target, 2)["psnr"] < 40


def test_a_gray_image_is_judged_as_three_equal_channels():
    gray = np.repeat(draw_picture(3)[..., :1] // 2, 3, -1)
    found = judge(gray + 1, gray, 2)
    assert found["rgb_psnr"] == pytest.approx(20 * np.log10(255))
    assert found["psnr"] == pytest.approx(20 * np.log10(255 * 255 / 219))  # the studio range is narrower


def test_the_similarity_is_that_of_windows_inside():
    target, generator = draw_picture(3, 24, 20), np.random.default_rng(0)
    image = np.clip(target + generator.normal(0, 12, target.shape), 0, 255).astype(np.uint8)
    x, y = (luminance(each)[2:-2, 2:-2] for each in (image, target))
    places = np.arange(11) - 5
    window = np.exp(-(places[:, None] ** 2 + places**2) / (2 * 1.5**2))
    window /= window.sum()
    found = []
    for top, left in np.ndindex(x.shape[0] - 10, x.shape[1] - 10):
        a, b = (each[top : top + 11, left : left + 11] for each in (x, y))
        mean_a, mean_b = (window * a).sum(), (window * b).sum()
        covariance = (window * a * b).sum() - mean_a * mean_b
        variances = (window * a * a).sum() - mean_a**2 + (window * b * b).sum() - mean_b**2
        c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
        found.append(
            (2 * mean_a * mean_b + c1) * (2 * covariance + c2) / ((mean_a**2 + mean_b**2 + c1) * (variances + c2))
        )
    assert judge(image, target, 2)["ssim"] == pytest.approx(np.mean(found), abs=1e-5)


def test_images_too_small_to_judge_are_refused():
    with pytest.raises(ValueError, match=r"\(15, 40\) pixels is too small to judge; 16 are needed"):
        judge(draw_picture(1, 15, 40), draw_picture(1, 15, 40), 2)


def test_other_sizes_are_refused():
    with pytest.raises(ValueError, match=r"\(48, 64\) pixels cannot be compared with \(48, 62\)"):
        judge(draw_picture(1), draw_picture(1)[:, 2:], 2)


def test_values_outside_are_cut_and_the_rest_rounded():
    values = torch.tensor([-0.5, 0.0, 100.4 / 255, 100.6 / 255, 1.0, 1.7]).view(1, 1, 1, 6).expand(1, 3, 1, 6)
    assert to_images(values)[0, 0, :, 0].tolist() == [0, 0, 100, 101, 255, 255]


def test_vgg_gives_the_features_before_each_pooling(vgg):
    from safetensors.torch import load_file

    network = load_vgg(str(vgg), ["relu3_3", "relu1_2"])
    image = torch.rand(1, 3, 32, 32)
    first, third = network(image)
    assert first.shape == (1, 64, 32, 32) and third.shape == (1, 256, 8, 8) and min(first.min(), third.min()) >= 0
    weights = load_file(vgg / "model.safetensors")
    expected = image
    for place in (0, 2):
        expected = torch.nn.functional.conv2d(
            expected, weights[f"features.{place}.weight"], weights[f"features.{place}.bias"], padding=1
        ).relu()
    assert first.allclose(expected, atol=1e-5)
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_distances_of_features_are_0_for_equal_images_and_grow(vgg, monkeypatch):
    loss, lpips = PerceptualLoss(str(vgg), ["relu1_2", "relu2_2"]), Lpips(str(vgg))
    target = torch.from_numpy(draw_picture(5)).movedim(-1, 0).float() / 255
    noise = torch.randn(target.shape, generator=torch.Generator().manual_seed(0))
    near, far = ((target + amount * noise).clamp(0, 1) for amount in (0.02, 0.2))
    assert loss(target[None], target[None]) == 0
    assert 0 < loss(near[None], target[None]) < loss(far[None], target[None])
    same, of_near, of_far = lpips([target, near, far], target)
    assert same == pytest.approx(0, abs=1e-7) and 0 < of_near < of_far
    assert of_far == pytest.approx(float(lpips.network(far[None], target[None], normalize=True)), rel=1e-5)
    monkeypatch.setattr("hf_recipes.super_resolution.vgg.MOST_SIDE", 32)
    assert lpips([far], target) == lpips([center_crop(far, [32, 32])], center_crop(target, [32, 32]))
    # its network is the one that was given
    seen = lpips.network.scaling_layer(2 * far[None] - 1)
    for ours, theirs in zip(lpips.network.net(seen), load_vgg(str(vgg), list(LAYERS))(seen), strict=True):
        assert ours.allclose(theirs, rtol=1e-4, atol=1e-5)


def test_layers_have_weights(vgg):
    image, target = torch.rand(2, 1, 3, 16, 16)
    alone = [PerceptualLoss(str(vgg), [layer])(image, target) for layer in ("relu1_2", "relu2_2")]
    both = PerceptualLoss(str(vgg), ["relu2_2", "relu1_2"], weights=[2.0, 0.5])(image, target)
    assert both == pytest.approx(float(2 * alone[1] + 0.5 * alone[0]), rel=1e-5)
    assert PerceptualLoss(str(vgg), ["relu1_2"], error="absolute")(image, target) != alone[0]
    ours, theirs = torch.tensor([3.0, 1.0]), torch.tensor([1.0, 1.0])
    assert [float(error(ours, theirs)) for error in FEATURE_ERRORS.values()] == [2.0, 1.0]
    with pytest.raises(ValueError, match="--perceptual_layer_weights are 1 for 2 layers"):
        PerceptualLoss(str(vgg), ["relu2_2", "relu1_2"], weights=[2.0])
    with pytest.raises(ValueError, match=r"--perceptual_weight is -0\.1; a weight is 0 or more"):
        make_loss(perceptual_weight=-0.1)


def test_the_loss_is_the_weighted_sum(vgg):
    perceptual = PerceptualLoss(str(vgg), ["relu1_2"])
    generator = torch.Generator().manual_seed(0)
    image, target = (torch.rand(2, 3, 16, 16, generator=generator) for _ in range(2))
    image.requires_grad_()
    outputs = {"reconstruction": image}
    pixel = (image - target).abs().mean().detach()
    assert make_loss()(outputs, target).allclose(pixel)
    assert make_loss("charbonnier")(outputs, target).item() == pytest.approx(pixel.item(), abs=1e-3)
    total = make_loss("l1", perceptual, perceptual_weight=0.5, frequency_weight=0.2)(outputs, target)
    assert total.allclose(pixel + 0.5 * perceptual(image, target) + 0.2 * frequency_loss(image, target))
    total.backward()
    assert image.grad.abs().min() > 0
    # a wave of one frequency differs in one coefficient only
    wave = torch.cos(torch.arange(16) * 2 * torch.pi / 16 * 3).expand(1, 3, 16, 16)
    assert frequency_loss(wave, torch.zeros_like(wave)).item() == pytest.approx(8 / (16 * 9 * 2), rel=1e-4)


def test_unknown_layers_and_backbones_are_named(vgg, tmp_path):
    with pytest.raises(ValueError, match="--perceptual_layers are relu9_9; there are relu1_2"):
        PerceptualLoss(str(vgg), ["relu9_9"])
    with pytest.raises(OSError, match="--perceptual_backbone"):
        load_vgg("nobody/nothing", ["relu1_2"])
