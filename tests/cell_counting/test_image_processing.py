import numpy as np
import pytest
import torch
from PIL import Image

from hf_recipes import CellCounterImageProcessor

GRADIENT = np.linspace(0, 1, 12 * 10).reshape(12, 10)


def as_modes():
    eight = (GRADIENT * 255).round().astype(np.uint8)
    rgb = np.repeat(eight[..., None], 3, -1)
    alpha = np.concatenate([rgb, np.full((12, 10, 1), 7, np.uint8)], -1)
    palette = Image.fromarray(eight).convert("P")
    return {
        "gray": Image.fromarray(eight),
        "rgb": Image.fromarray(rgb),
        "rgba": Image.fromarray(alpha),
        "palette": palette,
        "16 bit": Image.fromarray((GRADIENT * 65535).round().astype(np.uint16)),
        "16 bit in 32": Image.fromarray((GRADIENT * 65535).round().astype(np.int32)),
        "float": Image.fromarray(GRADIENT.astype(np.float32)),
        "array": eight,
        "channels first": np.moveaxis(rgb, -1, 0),
        "tensor": torch.from_numpy(eight),
        "gray with alpha": Image.fromarray(eight).convert("LA"),
    }


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("mode", as_modes())
def test_every_kind_of_image_becomes_the_same_tensor(mode, channels):
    processor = CellCounterImageProcessor(
        num_channels=channels, image_mean=[0.2] * channels, image_std=[0.5] * channels
    )
    pixels = processor(as_modes()[mode])["pixel_values"]
    assert pixels.shape == (1, channels, 12, 10) and pixels.dtype == torch.float32
    expected = (torch.from_numpy(GRADIENT).float() - 0.2) / 0.5
    assert torch.allclose(pixels[0], expected.expand(channels, -1, -1), atol=0.012)


@pytest.mark.parametrize("byteorder", ["<", ">"])  # ImageJ writes big-endian
@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32"])
def test_tiff_files_keep_their_depth(tmp_path, kind, byteorder):
    tifffile = pytest.importorskip("tifffile")
    top = {"uint8": 255, "uint16": 65535, "float32": 1}[kind]
    values = (GRADIENT * top).astype(kind)
    tifffile.imwrite(tmp_path / "image.tif", values, byteorder=byteorder)
    array = CellCounterImageProcessor(num_channels=1).to_array(Image.open(tmp_path / "image.tif"))
    assert array.dtype == kind and array.dtype.isnative and np.array_equal(array[..., 0], values)


def test_colour_becomes_luminance():
    red = Image.new("RGB", (4, 4), (255, 0, 0))
    array = CellCounterImageProcessor(num_channels=1).to_array(red)
    assert array.dtype == np.uint8 and array[0, 0, 0] == 76  # 0.299 * 255


def test_intensities_of_the_image_itself():
    twelve_bit = (GRADIENT * 4095).astype(np.uint16)
    dark = CellCounterImageProcessor(num_channels=1, image_mean=[0.0], image_std=[1.0])
    bright = CellCounterImageProcessor(num_channels=1, image_mean=[0.0], image_std=[1.0], intensity="image")
    assert dark(twelve_bit)["pixel_values"].max() < 0.07
    assert bright(twelve_bit)["pixel_values"].max() == pytest.approx(1, abs=0.02)
    black = bright(np.zeros((8, 8), np.uint8))["pixel_values"]
    assert torch.isfinite(black).all()


def test_bad_images_are_explained():
    processor = CellCounterImageProcessor(num_channels=1)
    with pytest.raises(ValueError, match="NaN"):
        processor(np.full((4, 4), np.nan))
    with pytest.raises(ValueError, match=r"0\.\.1.*intensity='image'"):
        processor(np.full((4, 4), 300.0))
    with pytest.raises(ValueError, match=r"\(2, 3, 4, 5\)"):
        processor([np.zeros((2, 3, 4, 5))])
    with pytest.raises(ValueError, match=r"\(0, 4"):
        processor(np.zeros((0, 4)))
    with pytest.raises(ValueError, match="int64"):
        processor(np.zeros((4, 4), np.int64))
    with pytest.raises(ValueError, match="num_channels"):
        CellCounterImageProcessor(num_channels=2)


def test_padding_is_marked():
    batch = CellCounterImageProcessor(num_channels=1)([np.zeros((4, 6), np.uint8), np.zeros((8, 3), np.uint8)])
    assert batch["pixel_values"].shape == (2, 1, 8, 6)
    assert batch["pixel_mask"].sum((1, 2)).tolist() == [24, 24]
    assert "pixel_mask" not in CellCounterImageProcessor(num_channels=1)([np.zeros((4, 6), np.uint8)] * 2)


def test_the_normalisation_is_stored(tmp_path):
    processor = CellCounterImageProcessor(num_channels=1, intensity="image", image_mean=[0.1], image_std=[0.3])
    processor.save_pretrained(tmp_path)
    again = CellCounterImageProcessor.from_pretrained(tmp_path)
    assert (again.num_channels, again.intensity, again.image_mean, again.image_std) == (1, "image", [0.1], [0.3])
