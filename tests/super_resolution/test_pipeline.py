import json

import numpy as np
import pytest
import torch
from pictures import draw_picture
from PIL import Image

from hf_recipes import SuperResolutionPipeline, SuperResolver, SuperResolverConfig, cli


@pytest.fixture(scope="module")
def model() -> SuperResolver:
    torch.manual_seed(0)
    model = SuperResolver(SuperResolverConfig(scale=2, width=8, blocks=2))
    for module in model.modules():  # so strong that a pixel at the edge of what the network sees shows
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.normal_(module.weight, std=(1.5 / module.weight[0].numel()) ** 0.5)
    model.network.last.weight.data /= 10
    return model


@pytest.fixture(scope="module")
def upscale(model) -> SuperResolutionPipeline:
    return SuperResolutionPipeline(model=model)


def test_tiles_make_the_whole(upscale, model):
    image = draw_picture(1, 70, 90)
    whole = upscale(image, tile_size=1000)
    with torch.no_grad():
        expected = model(torch.from_numpy(image).movedim(-1, 0)[None] / 255).reconstruction[0]
    expected = (expected.clamp(0, 1) * 255).round().movedim(0, -1).numpy()
    assert abs(whole - expected).max() <= 1 and whole.shape == (140, 180, 3)
    for tile_size in (16, 33, 64):
        assert abs(upscale(image, tile_size=tile_size).astype(int) - whole).max() <= 1
    fine = image.astype(np.uint16) * 257
    assert abs(upscale(fine, tile_size=33).astype(int) - upscale(fine, tile_size=1000)).max() <= 2
    srcnn = SuperResolver(SuperResolverConfig(scale=3, architecture="srcnn"))
    torch.nn.init.normal_(srcnn.network.last.weight, std=0.05)
    of_three = SuperResolutionPipeline(model=srcnn)  # whose reach is not a whole number of small pixels
    assert abs(of_three(image, tile_size=33).astype(int) - of_three(image, tile_size=1000)).max() <= 1
    assert not (whole == np.asarray(Image.fromarray(image).resize((180, 140), Image.Resampling.BICUBIC))).all()


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "I;16"])
def test_modes_are_kept(mode, upscale):
    picture = Image.fromarray(draw_picture(2))
    if mode == "I;16":
        picture = Image.fromarray(draw_picture(2)[..., 0].astype(np.uint16) * 257)
    elif mode.endswith("A"):
        picture.putalpha(Image.fromarray(draw_picture(3)[..., 0]))
    picture = picture.convert(mode)
    large = upscale(picture)
    assert large.mode == mode and large.size == (128, 96)
    if mode.endswith("A"):
        alpha = picture.getchannel("A").resize((128, 96), Image.Resampling.BICUBIC)
        assert abs(np.asarray(large.getchannel("A")).astype(int) - np.asarray(alpha))[4:-4, 4:-4].max() <= 1


def test_sixteen_bits_are_kept(upscale):
    image = draw_picture(4).astype(np.uint16) * 257
    large = upscale(image)
    assert large.dtype == np.uint16
    assert abs(large / 257 - upscale(draw_picture(4))).max() <= 0.51  # the same but for the rounding
    assert len(np.unique(large % 257)) > 50  # and finer than 8 bits


@pytest.mark.parametrize(("mode", "expected"), [("P", "RGB"), ("CMYK", "RGB"), ("1", "L"), ("PA", "RGBA")])
def test_other_modes_become_plain_ones(mode, expected, upscale):
    picture = Image.fromarray(draw_picture(5))
    if mode == "PA":
        picture = picture.convert("P")
    assert upscale(picture.convert(mode)).mode == expected


@pytest.mark.parametrize(("mode", "expected"), [("P", "RGBA"), ("L", "LA"), ("RGB", "RGBA")])
def test_a_transparent_colour_becomes_an_alpha_channel(mode, expected, upscale):
    picture = Image.fromarray(draw_picture(5)).convert(mode)
    picture.info["transparency"] = picture.getpixel((0, 0))
    large = upscale(picture)
    assert large.mode == expected and large.getchannel("A").getextrema() == (0, 255)


def test_a_transparent_shade_costs_no_bits(upscale):
    values = draw_picture(2)[..., 0].astype(np.uint16) * 257
    picture = Image.fromarray(values)
    picture.info["transparency"] = 0
    assert (np.asarray(upscale(picture)) == upscale(values)).all()


def test_sixteen_bits_of_the_other_byte_order(upscale):
    values = draw_picture(2)[..., 0].astype(np.uint16) * 257
    swapped = Image.frombytes("I;16B", values.shape[::-1], values.astype(">u2").tobytes())
    assert (np.asarray(upscale(swapped)) == np.asarray(upscale(Image.fromarray(values)))).all()


def test_colour_profiles_are_kept(upscale):
    picture = Image.fromarray(draw_picture(1))
    picture.info["icc_profile"] = b"a profile"
    assert upscale(picture).info["icc_profile"] == b"a profile"


def test_the_ensemble_turns_with_the_image(upscale):
    image = draw_picture(6, 40, 30)
    together = upscale(image, self_ensemble=True)
    turned = upscale(np.ascontiguousarray(np.rot90(image)), self_ensemble=True)
    mirrored = upscale(np.ascontiguousarray(image[:, ::-1]), self_ensemble=True)
    assert abs(np.rot90(together).astype(int) - turned).max() <= 1
    assert abs(together[:, ::-1].astype(int) - mirrored).max() <= 1
    assert abs(together.astype(int) - upscale(image)).max() > 1


def test_lists_and_paths(upscale, tmp_path):
    Image.fromarray(draw_picture(7, 20, 30)).save(tmp_path / "a.png")
    results = upscale([str(tmp_path / "a.png"), Image.fromarray(draw_picture(8, 10, 12))])
    assert [image.size for image in results] == [(60, 40), (24, 20)]


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 4, 3), np.float32), "its numbers are float32; uint8 and uint16 say what is white"),
        (np.zeros((4, 4, 5), np.uint8), r"its shape is \(4, 4, 5\)"),
        (Image.fromarray(np.zeros((4, 4), np.float32)), "floats or 32-bit integers"),
        ("nowhere.png", "cannot enlarge nowhere.png"),
    ],
)
def test_bad_images_are_named(image, message, upscale):
    with pytest.raises(ValueError, match=message):
        upscale(image)


def test_another_scale_is_refused(upscale):
    with pytest.raises(ValueError, match="these weights make images 2 times as large, and not 4 times"):
        upscale(draw_picture(1), scale=4)
    assert upscale(draw_picture(1), scale=2).shape == (96, 128, 3)


def test_the_command_saves_every_image(model, tmp_path, capsys):
    model.save_pretrained(tmp_path / "model")
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        Image.fromarray(draw_picture(1, 20, 30)).save(tmp_path / folder / "photo.png")
    photos = [str(tmp_path / folder / "photo.png") for folder in ("a", "b")]
    call = ["upscale", "--model", str(tmp_path / "model")]
    assert cli.main([*call, photos[0], "--output", str(tmp_path / "large.webp")]) == 0
    assert Image.open(tmp_path / "large.webp").size == (60, 40)
    capsys.readouterr()
    # formats that lose by default: without loss, or with little, and with the colours' profile
    plain = SuperResolutionPipeline(model=model)(photos[0])
    assert np.array_equal(np.asarray(Image.open(tmp_path / "large.webp")), np.asarray(plain))
    Image.fromarray(draw_picture(1, 20, 30)).save(tmp_path / "a/other.png", icc_profile=b"a profile")
    assert cli.main([*call, str(tmp_path / "a/other.png"), "--output", str(tmp_path / "large.jpg")]) == 0
    jpeg = Image.open(tmp_path / "large.jpg")
    assert jpeg.info["icc_profile"] == b"a profile" and max(jpeg.quantization[0]) < 20
    capsys.readouterr()
    assert cli.main([*call, *photos, "--output", str(tmp_path / "out"), "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["width"], row["height"]) for row in rows] == [(60, 40)] * 2
    assert len({row["output"] for row in rows}) == 2 and all(Image.open(row["output"]).size == (60, 40) for row in rows)
    assert cli.main([*call, photos[0]]) == 0 and (tmp_path / "a/photo-x2.png").exists()
    assert cli.main([*call, photos[0], "--scale", "3"]) == 1
    assert "not 3 times" in capsys.readouterr().err


def test_the_command_never_writes_over_an_image(model, tmp_path, capsys):
    model.save_pretrained(tmp_path / "model")
    (tmp_path / "photos").mkdir()
    photo = tmp_path / "photos/photo.png"
    Image.fromarray(draw_picture(1, 20, 30)).save(photo)
    call = ["upscale", "--model", str(tmp_path / "model")]
    assert cli.main([*call, str(photo), "--output", str(photo)]) == 1
    assert "is the image itself" in capsys.readouterr().err and Image.open(photo).size == (30, 20)
    for _ in range(2):  # the second time its own results are among the images
        assert cli.main([*call, str(tmp_path / "photos")]) == 0
    sizes = {path.name: Image.open(path).size for path in (tmp_path / "photos").iterdir()}
    assert sizes == {
        "photo.png": (30, 20),
        "photo-x2.png": (60, 40),
        "photo-x2-2.png": (60, 40),
        "photo-x2-x2.png": (120, 80),
    }


def test_the_command_keeps_what_a_format_cannot_hold(model, tmp_path, capsys):
    model.save_pretrained(tmp_path / "model")
    photo, large = tmp_path / "photo.png", tmp_path / "large.jpg"
    Image.fromarray(draw_picture(1, 20, 30)).convert("RGBA").save(photo)
    large.write_bytes(b"what was there")
    call = ["upscale", "--model", str(tmp_path / "model"), str(photo)]
    assert cli.main([*call, "--output", str(large)]) == 1
    assert ".jpg does not keep this image's transparency" in capsys.readouterr().err
    assert large.read_bytes() == b"what was there"
    assert cli.main([*call, "--output", str(tmp_path / "large.doc")]) == 1
    assert "saved as .png" in capsys.readouterr().err
    assert cli.main([*call, str(tmp_path), "--output", str(large)]) == 1
    assert "give a folder" in capsys.readouterr().err
