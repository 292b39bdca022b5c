import pytest
import torch
from torch.nn import functional as F

from hf_recipes.cell_counting.augmentation import Augmentation, resize


def batch(size=(64, 64), number=3):
    """Images whose first channel is the density itself, blurred: if they part, the test sees it."""
    torch.manual_seed(0)
    density = torch.zeros(number, 1, *size)
    for image in density:
        for _ in range(12):
            image[0, torch.randint(4, size[0] - 4, ()), torch.randint(4, size[1] - 4, ())] += 1
    density = F.avg_pool2d(density, 5, 1, 2)
    return {"pixel_values": density.repeat(1, 2, 1, 1), "labels": density[:, 0]}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("size", [(64, 64), (48, 80)])
@pytest.mark.parametrize("seed", range(4))
def test_geometry_keeps_counts_and_keeps_image_and_density_in_step(size, seed):
    before = batch(size)
    after = Augmentation()(before, generator(seed))
    assert torch.allclose(after["labels"].sum((1, 2)), before["labels"].sum((1, 2)), atol=1e-3)
    assert torch.equal(after["pixel_values"][:, 0], after["labels"])
    assert after["pixel_values"].is_contiguous(memory_format=torch.channels_last)


def test_geometry_reaches_all_eight_symmetries_and_differs_between_images():
    single = torch.arange(16.0).reshape(1, 4, 4).expand(64, 4, 4)
    turned = Augmentation()({"pixel_values": single[:, None], "labels": single}, generator())["labels"]
    assert len({tuple(image.flatten().tolist()) for image in turned}) == 8


@pytest.mark.parametrize("seed", range(5))
def test_crops_are_the_same_place_of_image_and_density(seed):
    after = Augmentation(geometry=False, crop=0.4)(batch(), generator(seed))
    assert torch.equal(after["pixel_values"][:, 0], after["labels"])
    assert after["labels"].shape[1] % 16 == 0 and 16 <= after["labels"].shape[1] <= 64


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("keep_size", [False, True])
def test_zooms_keep_the_mass(seed, keep_size):
    before = batch()
    after = Augmentation(geometry=False, zoom=0.4, keep_size=keep_size)(before, generator(seed))
    assert torch.allclose(after["labels"].sum((1, 2)), before["labels"].sum((1, 2)), atol=1e-3)
    assert not keep_size or after["labels"].shape == before["labels"].shape
    pair = torch.stack([after["pixel_values"][:, 0].flatten(), after["labels"].flatten()])
    assert torch.corrcoef(pair)[0, 1] > 0.99


@pytest.mark.parametrize("size", [(32, 32), (100, 70), (13, 200)])
def test_resizing_keeps_the_count(size):
    before = batch()
    _, density = resize(before["pixel_values"], before["labels"][:, None], size)
    assert density.shape[-2:] == size
    assert torch.allclose(density.sum((1, 2, 3)), before["labels"].sum((1, 2)), atol=1e-3)


def test_intensity_and_noise_leave_the_density_alone():
    before = batch()
    for augment in (Augmentation(geometry=False, intensity=0.3), Augmentation(geometry=False, noise=0.2)):
        after = augment(before, generator())
        assert torch.equal(after["labels"], before["labels"])
        assert not torch.allclose(after["pixel_values"], before["pixel_values"])
        assert (after["pixel_values"] - before["pixel_values"]).abs().max() < 2


def test_the_generator_decides_everything():
    augment = Augmentation(crop=0.5, zoom=0.2, intensity=0.2, noise=0.2)
    one, two, other = (augment(batch(), generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(one["pixel_values"], two["pixel_values"]) and torch.equal(one["labels"], two["labels"])
    assert one["pixel_values"].shape != other["pixel_values"].shape or not torch.equal(
        one["pixel_values"], other["pixel_values"]
    )


def test_no_augmentation_changes_nothing():
    before = batch()
    after = Augmentation(geometry=False)(before, generator())
    assert torch.equal(after["pixel_values"], before["pixel_values"]) and torch.equal(after["labels"], before["labels"])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("options", [{}, {"crop": 0.5}, {"zoom": 0.3, "intensity": 0.5, "noise": 0.2}])
def test_the_mask_of_a_padded_batch_goes_where_its_images_go(seed, options):
    mask = torch.zeros(4, 64, 64)
    for row, (height, width) in enumerate([(64, 64), (32, 64), (48, 16), (64, 40)]):
        mask[row, :height, :width] = 1
    before = {"pixel_values": mask[:, None].clone(), "labels": mask / 100, "pixel_mask": mask}
    after = Augmentation(**options)(before, generator(seed))
    assert after["pixel_mask"].shape == after["labels"].shape and set(after["pixel_mask"].unique().tolist()) <= {0, 1}
    assert not after["pixel_values"][:, 0][after["pixel_mask"] == 0].any()
    inside = F.avg_pool2d(after["labels"][:, None], 5, 1, 2)[:, 0] > 0.99 * after["labels"].amax((1, 2), keepdim=True)
    assert inside.any() and bool(after["pixel_mask"][inside].all())  # what is well inside an image is not masked
    if not options:
        assert torch.equal(after["labels"] * 100, after["pixel_mask"])
