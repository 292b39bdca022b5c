import numpy as np
import pytest
import torch
from pictures import draw_picture
from transformers import AutoConfig, AutoModelForImageToImage

from hf_recipes import SuperResolver, SuperResolverConfig
from hf_recipes.super_resolution.metrics import to_images
from hf_recipes.super_resolution.resize import resize_bicubic

ARCHITECTURES = ("srcnn", "espcn", "light")


def make(architecture="light", scale=2, **options) -> SuperResolver:
    torch.manual_seed(0)
    return SuperResolver(SuperResolverConfig(architecture=architecture, scale=scale, **options)).eval()


def randomize(model: SuperResolver) -> SuperResolver:
    """A network whose last layer says something."""
    with torch.no_grad():
        torch.nn.init.normal_(model.network.last.weight, std=0.02)
    return model


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_an_untrained_network_is_bicubic_interpolation(architecture, scale):
    low = draw_picture(1, 30, 40)
    pixel_values = torch.from_numpy(low).movedim(-1, 0)[None] / 255
    with torch.no_grad():
        found = to_images(make(architecture, scale)(pixel_values).reconstruction)[0]
    expected = resize_bicubic(low, scale)
    assert found.shape == expected.shape
    inside = slice(3 * scale, -3 * scale)  # MATLAB mirrors at the border
    assert abs(found.astype(int) - expected)[inside, inside].max() <= 1


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_light_network_is_light(scale):
    assert sum(parameter.numel() for parameter in make(scale=scale).parameters()) < 300_000


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("scale", [2, 3])
def test_a_pixel_is_seen_as_far_as_the_reach(architecture, scale):
    model = randomize(make(architecture, scale)).double()
    side, middle = 2 * model.reach + 9, model.reach + 4
    image = torch.rand(1, 3, side, side, dtype=torch.float64, requires_grad=True)
    block = slice(scale * middle, scale * (middle + 1))
    model(image).reconstruction[..., block, block].sum().backward()
    seen = np.flatnonzero(image.grad.abs().sum((0, 1, 2)))
    # the interpolation of SRCNN makes its reach a fraction of a small pixel, which is rounded up
    slack = int(architecture == "srcnn")
    assert middle - model.reach <= seen.min() <= middle - model.reach + slack
    assert middle + model.reach - slack <= seen.max() <= middle + model.reach


def test_initial_weights_have_the_spread_of_he():
    network = make(width=64).network
    block = network.blocks[0]
    he = (2 / (64 * 9)) ** 0.5
    assert block.first.weight.std().item() == pytest.approx(he, rel=0.02)
    assert block.second.weight.std().item() == pytest.approx(he / 10, rel=0.02)
    assert network.last.weight.abs().max() == 0


def test_other_weights_are_refused(tmp_path):
    make("espcn").save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "vit"}')
    with pytest.raises(ValueError, match="does not hold the weights of a super-resolver with architecture 'light'"):
        SuperResolver.from_pretrained(tmp_path)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_weights_come_back(architecture, tmp_path):
    model = randomize(make(architecture, 3))
    model.save_pretrained(tmp_path)
    AutoConfig.register("super_resolver", SuperResolverConfig, exist_ok=True)
    AutoModelForImageToImage.register(SuperResolverConfig, SuperResolver, exist_ok=True)
    again = AutoModelForImageToImage.from_pretrained(tmp_path)
    image = torch.rand(1, 3, 12, 10)
    assert again(image).reconstruction.equal(model(image).reconstruction)


def test_the_loss_is_the_mean_absolute_error():
    model, image, target = randomize(make()), torch.rand(2, 3, 8, 8), torch.rand(2, 3, 16, 16)
    outputs = model(image, labels=target)
    assert outputs.loss.allclose((outputs.reconstruction - target).abs().mean())
    with pytest.raises(ValueError, match=r"labels are \(2, 3, 16, 15\); 2 times the images of \(2, 3, 8, 8\)"):
        model(image, labels=target[..., :15])
    with pytest.raises(ValueError, match=r"\(batch, 3, height, width\)"):
        model(image[:, :1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": 5}, "scale is 5; it can be one of 2, 3, 4"),
        ({"architecture": "vdsr"}, "architecture is 'vdsr'; it can be one of srcnn, espcn, light"),
        ({"blocks": 0}, "blocks is 0; it is at least 1"),
        ({"architecture": "espcn", "width": 8}, "width is 8, and espcn has no such option"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(Exception, match=message):
        SuperResolverConfig(**options)
