import random

import numpy as np
import pytest
import torch
from PIL import Image
from transformers.models.timm_wrapper import TimmWrapperImageProcessor

from hf_recipes.transfer_learning.augmentation import PIPELINES, Augmentation

CONFIG = {
    "input_size": (3, 24, 24),
    "interpolation": "bicubic",
    "mean": (0.4, 0.5, 0.6),
    "std": (0.2, 0.3, 0.25),
    "crop_pct": 1.0,
}


def make_batch(images: int = 6, size: int = 24) -> dict:
    pixels = np.random.default_rng(0).integers(0, 256, (images, size, size, 3), dtype=np.uint8)
    return {"images": [Image.fromarray(each) for each in pixels], "labels": torch.arange(images) % 3}


def seeded(seed: int = 5) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_the_same_generator_gives_the_same_batch_and_global_generators_are_left_alone(pipeline):
    augment, batch = Augmentation(CONFIG, 3, pipeline, True, 0.5, mixup=0.2, cutmix=1.0), make_batch()
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
    first, again, other = (augment(batch, seeded(seed)) for seed in (5, 5, 6))
    assert all(torch.equal(first[key], again[key]) for key in ("pixel_values", "labels"))
    assert not torch.equal(first["pixel_values"], other["pixel_values"])
    assert random.getstate() == states[0] and np.random.get_state()[1].tolist() == states[1]
    assert torch.get_rng_state().equal(states[2])


def test_without_augmentation_images_are_what_the_processor_makes():
    config = CONFIG | {"crop_pct": 0.8, "input_size": (3, 20, 20)}
    batch = make_batch(size=37)
    batch["images"] = [image.crop((0, 0, 37, 30)) for image in batch["images"]]
    found = Augmentation(config, 3, "none")(batch, seeded())
    expected = TimmWrapperImageProcessor(config)(batch["images"])["pixel_values"]
    assert found["pixel_values"].allclose(expected, atol=1e-6) and found["labels"].equal(batch["labels"])


def test_mirrors_are_all_that_mirrored_images_differ_by():
    batch, config = make_batch(16, size=37), CONFIG | {"crop_pct": 0.8}
    batch["images"] = [image.crop((0, 0, 37, 29)) for image in batch["images"]]
    # what is seen of a mirrored image is the mirror image of what is seen, but for how its interpolation is rounded
    whole = TimmWrapperImageProcessor(config)(batch["images"])["pixel_values"]
    for upside_down, sides in ((False, [(), (3,)]), (True, [(), (2,), (3,), (2, 3)])):
        found = Augmentation(config, 3, "mirrors", upside_down=upside_down)(batch, seeded())["pixel_values"]
        seen = [
            [side for side in sides if one.allclose(other.flip([n - 1 for n in side]), atol=0.05)]
            for one, other in zip(found, whole)
        ]
        assert all(len(each) == 1 for each in seen) and len({each[0] for each in seen}) == len(sides)


def test_hard_classes_have_a_pipeline_of_their_own():
    batch = make_batch()
    expected = TimmWrapperImageProcessor(CONFIG)(batch["images"])["pixel_values"]
    augment = Augmentation(CONFIG, 3, "none", hard_classes=[1], hard_pipeline="strong")
    changed = (augment(batch, seeded())["pixel_values"] - expected).abs().flatten(1).amax(1) > 1e-5
    assert changed.tolist() == [label == 1 for label in batch["labels"].tolist()]


@pytest.mark.parametrize("images", [6, 5, 1])
@pytest.mark.parametrize("mixing", [{"mixup": 1.0}, {"cutmix": 1.0}])
def test_mixed_labels_are_the_shares_of_the_mixed_images(images, mixing):
    batch = make_batch(images)
    for number, image in enumerate(batch["images"]):  # one colour per class
        image.paste((255 * (number % 3 == 0), 255 * (number % 3 == 1), 255 * (number % 3 == 2)), (0, 0, 24, 24))
    result = Augmentation(CONFIG, 3, "none", **mixing)(batch, seeded(2))
    if images == 1:
        assert result["labels"].tolist() == [0]
        return
    mean, std = (torch.tensor(CONFIG[key])[:, None, None] for key in ("mean", "std"))
    shares = (result["pixel_values"] * std + mean).mean((2, 3))
    assert torch.allclose(shares, result["labels"], atol=1e-5)
    assert result["labels"].sum(1).allclose(torch.ones(images))
