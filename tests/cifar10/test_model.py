import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from transformers import AutoModelForImageClassification

from hf_recipes import CifarClassifier, CifarClassifierConfig
from hf_recipes.cifar10.modeling_cifar_classifier import make_views

ARCHITECTURES = {
    "fully_connected": {"widths": [64, 64], "residual": True},
    "cnn": {"widths": [16, 32]},
    "fast_cnn": {"widths": [32, 64], "whitening": 2},
}


def make_model(architecture: str, **options) -> CifarClassifier:
    torch.manual_seed(0)
    options = {"image_size": [16, 16], "num_labels": 5} | ARCHITECTURES[architecture] | options
    return CifarClassifier(CifarClassifierConfig(architecture=architecture, **options)).eval()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_initialisation_is_plain_torchs_or_the_identity(architecture):
    checked = 0
    for module in make_model(architecture).modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)) and module.weight.numel() > 200:
            weight, expected = module.weight.detach(), 1 / math.sqrt(3 * module.weight[0].numel())
            if getattr(module, "starts_as_identity", False):
                inputs = torch.randn(1, module.in_channels, 8, 8)
                assert torch.allclose(module(inputs)[:, : module.in_channels], inputs, atol=1e-6)
                weight = weight[module.in_channels :]
            if len(weight):
                assert weight.std().item() == pytest.approx(expected, rel=0.15)
            checked += 1
    assert checked >= 2


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("options", [{}, {"pixel_permutation": 3, "test_time_augmentation": "flip_and_shift"}])
def test_a_round_trip_through_a_folder_keeps_every_output(architecture, options, tmp_path):
    model = make_model(architecture, **options)
    for value in [*model.parameters(), *model.buffers()]:  # as after training
        if value.is_floating_point():
            value.data += 0.1 * torch.rand_like(value)
    model.save_pretrained(tmp_path)
    images = torch.randn(2, 3, 16, 16)
    assert torch.equal(CifarClassifier.from_pretrained(tmp_path)(images).logits, model(images).logits)
    travelled = AutoModelForImageClassification.from_pretrained(tmp_path, trust_remote_code=True)
    assert torch.equal(travelled.eval()(images).logits, model(images).logits)


def test_another_image_size_is_refused():
    with pytest.raises(ValueError, match=r"3 x 16 x 16 .*got 3 x 20 x 16; its image processor"):
        make_model("cnn")(torch.randn(1, 3, 20, 16))
    with pytest.raises(ValueError, match="got 1 x 16 x 16"):
        make_model("cnn")(torch.randn(1, 1, 16, 16))
    fast = make_model("fast_cnn", activation="relu")
    assert fast.train()(torch.randn(2, 3, 12, 12)).logits.shape == (2, 5)
    with pytest.raises(ValueError, match="got 3 x 12 x 12"):
        fast.eval()(torch.randn(2, 3, 12, 12))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"architecture": "mlp"}, "fully_connected, cnn, fast_cnn"),
        ({"architecture": "fast_cnn", "whitening": 0}, "whitening"),
        ({"architecture": "cnn", "widths": []}, "widths"),
        ({"activation": "tanh"}, "relu, gelu"),
        ({"architecture": "cnn", "dropout": 1.0}, "dropout"),
        ({"dropout": 0.1}, "dropout is 0.1, and fast_cnn has no such option"),
        ({"architecture": "cnn", "residual": True}, "residual is True, and cnn"),
        ({"architecture": "fully_connected", "whitening": 4000}, "fewer components"),
        ({"image_size": [8, 8]}, "3 blocks halve it to nothing"),
        ({"architecture": "cnn", "test_time_augmentation": "crop"}, "flip_and_shift"),
    ],
)
def test_a_wrong_configuration_names_the_field(options, message):
    with pytest.raises(Exception, match=message):
        CifarClassifierConfig(**options)


def test_every_architecture_has_a_default_configuration():
    for architecture in ARCHITECTURES:
        model = CifarClassifier(CifarClassifierConfig(architecture=architecture))
        assert model(torch.randn(2, 3, 32, 32)).logits.shape == (2, 2)


def assert_half_whitened(components: torch.Tensor, vectors: torch.Tensor):
    """Components are uncorrelated, the largest first, with variances half of the way to equal, on a logarithmic scale, and 1 in
    the mean."""
    variances = components.square().mean(0)
    assert torch.allclose(components.T @ components / len(components), variances.diag(), atol=0.02)
    plain = torch.linalg.svdvals(vectors)[: len(variances)]
    assert torch.allclose(variances, plain / plain.mean(), atol=0.02)


def test_whitening():
    images = torch.randn(600, 3, 16, 16).cumsum(-1) + 2  # neighbours are alike, the mean is not 0
    dense = make_model("fully_connected", whitening=40)
    dense.fit_whitening(images.split(200))
    assert not dense.network.whiten.weight.requires_grad
    flat = images.flatten(1)
    assert_half_whitened(dense.network.whiten(flat), flat - flat.mean(0))
    patches = make_model("fast_cnn")
    patches.fit_whitening(images.split(200))
    values = patches.network.whiten(images).movedim(1, -1).flatten(0, 2)
    assert_half_whitened(values[:, :12].flip(1), F.unfold(images, 2).movedim(1, -1).flatten(0, 1))
    assert torch.equal(values[:, 12:], -values[:, :12])


def test_only_the_convolutions_care_where_the_pixels_are():
    """Permuting the pixels is undone by permuting the first weights of a dense network."""
    images = torch.randn(3, 3, 16, 16)
    plain, permuted = make_model("fully_connected"), make_model("fully_connected", pixel_permutation=7)
    assert not torch.allclose(plain(images).logits, permuted(images).logits)
    weight = plain.network.layers[0].linear.weight.data.unflatten(1, (3, 256))
    permuted.network.load_state_dict(plain.network.state_dict())
    permuted.network.layers[0].linear.weight.data = weight[..., permuted.permutation].flatten(1)
    assert torch.allclose(plain(images).logits, permuted(images).logits, atol=1e-5)
    assert torch.equal(make_model("cnn", pixel_permutation=7).permutation, permuted.permutation)


def test_test_time_augmentation_is_the_mean_over_views_and_off_in_training():
    model, plain = make_model("cnn", test_time_augmentation="flip"), make_model("cnn")
    images = torch.randn(2, 3, 16, 16)
    output = model(images)
    assert torch.allclose(output.logits, (plain(images).logits + plain(images.flip(-1)).logits) / 2, atol=1e-6)
    assert torch.allclose(output.plain_logits, plain(images).logits, atol=1e-6)
    assert model.train()(images).plain_logits is None
    views = make_views(images, shift=True)
    assert len(views) == 6 and torch.equal(views[0], images) and torch.equal(views[1], images.flip(-1))
    assert torch.equal(views[2][..., 1:, 1:], images[..., :-1, :-1])  # moved down right
    assert torch.equal(views[4][..., :-1, :-1], images[..., 1:, 1:]) and torch.equal(views[5], views[4].flip(-1))


def test_labels_are_class_numbers_or_shares():
    model, images = make_model("cnn"), torch.randn(4, 3, 16, 16)
    labels = torch.tensor([0, 1, 2, 3])
    hard, soft = model(images, labels).loss, model(images, nn.functional.one_hot(labels, 5).float()).loss
    assert torch.allclose(hard, soft)
    assert model(images).loss is None
