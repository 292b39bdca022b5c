from types import SimpleNamespace

import pytest
import torch

from hf_recipes.cifar10.augmentation import Augmentation, cut_out, mix_up, translate


def make_batch(images: int = 64, size: int = 12) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return {
        "pixel_values": torch.randn(images, 3, size, size),
        "labels": torch.arange(images) % 4,
        "index": torch.arange(images),
    }


def seeded(seed: int = 5) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_same_generator_gives_the_same_batch():
    augment = Augmentation(4, "random", 2, 4, 0.1, 0.5, 0.1)
    batch = make_batch()
    first, again, other = (augment(batch, seeded(seed)) for seed in (5, 5, 6))
    assert all(torch.equal(first[key], again[key]) for key in ("pixel_values", "labels"))
    assert not torch.equal(first["pixel_values"], other["pixel_values"])
    assert first["pixel_values"].is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(batch["pixel_values"], make_batch()["pixel_values"])  # the batch itself is left alone


def test_alternating_flips_show_every_image_both_ways_in_two_epochs():
    augment, batch = Augmentation(4, "alternating"), make_batch(1000, 4)
    flips = []
    for augment.epoch in (0, 1, 2):
        images = augment(batch, seeded())["pixel_values"]
        flips.append((images != batch["pixel_values"]).flatten(1).any(1))
    assert torch.equal(flips[0], ~flips[1]) and torch.equal(flips[0], flips[2])
    assert 0.45 < flips[0].float().mean() < 0.55
    assert torch.where(flips[0][:, None, None, None], images.flip(-1), images).equal(batch["pixel_values"])


def test_translation_moves_each_image_by_whole_pixels():
    images = make_batch()["pixel_values"]
    moved, moves = translate(images, 2, seeded()), set()
    for image, result in zip(images, moved):
        padded = torch.nn.functional.pad(image[None], (2, 2, 2, 2), mode="reflect")[0]
        found = [(y, x) for y in range(5) for x in range(5) if torch.equal(padded[:, y : y + 12, x : x + 12], result)]
        assert len(found) == 1
        moves.update(found)
    assert len(moves) > 15


def test_cutout_blanks_a_square():
    blank = (cut_out(torch.ones(400, 3, 12, 12), 4, seeded()) == 0).all(1)
    areas = blank.sum((1, 2))
    assert areas.max() == 16 and areas.min() < 16  # at the border only a part of it lies inside
    rows, columns = blank.any(2).sum(1), blank.any(1).sum(1)
    assert torch.equal(rows * columns, areas)


def test_mixed_labels_are_the_shares_of_the_mixed_images():
    labels = torch.nn.functional.one_hot(torch.arange(64) % 4, 4).float()
    images = labels[:, :, None, None].expand(-1, -1, 3, 3)  # an image that shows its label
    mixed, shares = mix_up(images, labels, 0.5, seeded())
    assert torch.allclose(mixed[..., 0, 0], shares, atol=1e-6)
    assert torch.allclose(shares.sum(1), torch.ones(64)) and (shares.max(1).values >= 0.5).all()
    assert ((shares > 0.01).sum(1) == 2).any()


@pytest.mark.parametrize("mixup", [0.0, 0.2])
def test_smoothed_labels_sum_to_one(mixup):
    labels = Augmentation(4, label_smoothing=0.2, mixup=mixup)(make_batch(), seeded())["labels"]
    assert torch.allclose(labels.sum(1), torch.ones(64)) and labels.min() >= 0.05 - 1e-6


def test_images_are_small_in_the_first_part_of_the_training():
    augment, batch = Augmentation(4, small_size=8, small_until=0.5), make_batch()
    sizes = []
    for step in (0, 4, 5, 9):
        augment.on_step_begin(None, SimpleNamespace(global_step=step, max_steps=10), None)
        sizes.append(augment(batch, seeded())["pixel_values"].shape[-1])
    assert sizes == [8, 8, 12, 12]
