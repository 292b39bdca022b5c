import pytest
import torch
from pictures import draw_picture

from hf_recipes.super_resolution.patches import PatchCutter, PatchMaker
from hf_recipes.super_resolution.resize import resize_bicubic


def numbered_pair(scale: int, height: int = 9, width: int = 7) -> dict[str, list[torch.Tensor]]:
    """A small image whose pixels are all different, and one that repeats each of them `scale` x `scale` times."""
    low = torch.arange(height * width, dtype=torch.uint8).view(height, width, 1).repeat(1, 1, 3)
    low[..., 1] += 100
    return {"low": [low], "high": [low.repeat_interleave(scale, 0).repeat_interleave(scale, 1)]}


@pytest.mark.parametrize("scale", [2, 3])
def test_patches_are_aligned_and_turned_in_all_ways(scale):
    cutter, seen = PatchCutter(scale, 4 * scale), set()
    for seed in range(300):
        batch = cutter(numbered_pair(scale), torch.Generator().manual_seed(seed))
        small, large = batch["pixel_values"], batch["labels"]
        assert small.shape == (1, 3, 4, 4) and large.shape == (1, 3, 4 * scale, 4 * scale)
        assert large.equal(small.repeat_interleave(scale, 2).repeat_interleave(scale, 3))
        numbers = (small[0, 0] * 255).round().int()
        assert (small[0, 1] * 255).round().int().equal(numbers + 100)
        steps = (int(numbers[0, 1] - numbers[0, 0]), int(numbers[1, 0] - numbers[0, 0]))
        seen.add((*steps, int(numbers.min())))
    assert {(right, down) for right, down, _ in seen} == {
        (1, 7),
        (-1, 7),
        (1, -7),
        (-1, -7),
        (7, 1),
        (-7, 1),
        (7, -1),
        (-7, -1),
    }
    assert {corner for *_, corner in seen} == {7 * row + column for row in range(6) for column in range(4)}


def test_the_same_generator_cuts_the_same_patches():
    cutter = PatchCutter(2, 8)
    first, again = (cutter(numbered_pair(2), torch.Generator().manual_seed(5)) for _ in range(2))
    assert first["labels"].equal(again["labels"])


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_small_patches_are_made_as_small_images_are(scale):
    """Of an image that is one patch, all of it is cut, mirrored at the border."""
    side, seen = 12 * scale, set()
    image = draw_picture(1, side, side)
    maker, whole = PatchMaker(scale, side, 0.5), torch.from_numpy(resize_bicubic(image, 1 / scale)).movedim(-1, 0)
    for seed in range(40):
        batch = maker({"high": [torch.from_numpy(image)]}, torch.Generator().manual_seed(seed))
        small, large = ((batch[name][0] * 255).round() for name in ("pixel_values", "labels"))
        direction = next(
            (flipped, turns)
            for flipped in (False, True)
            for turns in range(4)
            if torch.rot90(whole.flip(2) if flipped else whole, turns, (1, 2)).sub(small).abs().max() <= 1
        )
        high = torch.from_numpy(image).movedim(-1, 0)
        assert torch.rot90(high.flip(2) if direction[0] else high, direction[1], (1, 2)).equal(large.byte())
        seen.add(direction)
    assert len(seen) == 8


def test_patches_are_cut_anywhere_and_shrunk():
    """Of an image that gets brighter by one in each column, the steps of a patch say by how much it was shrunk."""
    image = torch.arange(120, dtype=torch.uint8).repeat(120, 1)[..., None].repeat(1, 1, 3)
    maker, starts, zooms = PatchMaker(4, 32, 0.5), set(), []
    for seed in range(200):
        batch = maker({"high": [image, image]}, torch.Generator().manual_seed(seed))
        assert batch["pixel_values"].shape == (2, 3, 8, 8) and batch["labels"].shape == (2, 3, 32, 32)
        values = batch["labels"][:, 0] * 255
        spans = values.flatten(1).amax(1) - values.flatten(1).amin(1)
        assert spans[0] == pytest.approx(spans[1], abs=4)  # one factor for all
        zooms.append(31 / float(spans.min()))
        starts.add(int(values[0].min()) % 4)
    assert 70 < zooms.count(1.0) < 130
    assert starts == {0, 1, 2, 3} and 0.45 < min(zooms) < 0.55 and 0.93 < max(zooms) <= 1.1
    small = maker({"high": [image[:40]]}, torch.Generator().manual_seed(0))  # it cannot be shrunk to a half
    assert small["labels"].shape == (1, 3, 32, 32)


def test_patches_that_cannot_be_are_refused():
    for make in (lambda: PatchCutter(3, 16), lambda: PatchMaker(3, 16, 1)):
        with pytest.raises(ValueError, match="--patch_size is 16; it is a multiple of the scale, 3"):
            make()
    with pytest.raises(ValueError, match=r"--least_zoom is 1\.5; it is above 0 and at most 1"):
        PatchMaker(2, 16, 1.5)
