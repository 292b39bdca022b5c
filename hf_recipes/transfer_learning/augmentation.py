"""Augmentation of training images by timm's own pipelines, by name, and seeded so that a resumed run sees the same images."""

import contextlib
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from timm.data import Mixup, create_transform
from timm.data.random_erasing import RandomErasing
from torch.nn import functional as F
from torchvision.transforms import Compose, RandomHorizontalFlip, RandomVerticalFlip

# arguments of timm's `create_transform`. Magnitudes end at 9: at 10 timm asks for 0 bits of colour, which Pillow refuses
PIPELINES: dict[str, dict[str, Any]] = {
    "none": {},  # what the network sees when it is used
    "mirrors": {},  # the same, mirrored
    "light": {"scale": (0.6, 1.0), "hflip": 0.5, "color_jitter": 0.1},
    "randaugment": {"scale": (0.5, 1.0), "hflip": 0.5, "auto_augment": "rand-m9-n2-mstd0.5-mmax9-inc1"},
    "strong": {"scale": (0.35, 1.0), "hflip": 0.5, "auto_augment": "rand-m9-n4-mstd0.5-mmax9-inc1"},
}


@dataclass
class Augmentation:
    """What a training batch goes through: each picture a named pipeline, then the batch mixup or CutMix.

    Args:
        data_config: `input_size`, `mean`, `std` and `interpolation` of the backbone, as timm resolves them.
        num_classes: of the data.
        pipeline: one of `PIPELINES`. RandAugment: Cubuk et al. 2020.
        upside_down: mirror pictures vertically as well, with probability one half.
        erasing: probability of a random rectangle of noise (Zhong et al. 2020).
        hard_classes: numbers of classes whose pictures go through the `hard_pipeline` instead.
        hard_pipeline: one of `PIPELINES`.
        mixup: `alpha` of the shares of two pictures (Zhang et al. 2018), 0 for none.
        cutmix: `alpha` of the area of one picture pasted into another (Yun et al. 2019), 0 for none; with both, one of them is
            drawn for each batch.
    """

    data_config: dict[str, Any]
    num_classes: int
    pipeline: str = "light"
    upside_down: bool = False
    erasing: float = 0.0
    hard_classes: Sequence[int] = ()
    hard_pipeline: str = "strong"
    mixup: float = 0.0
    cutmix: float = 0.0

    def __post_init__(self):
        self.transform = self.make_transform(self.pipeline)
        self.hard_transform = self.make_transform(self.hard_pipeline) if self.hard_classes else None
        self.mix = None
        if self.mixup or self.cutmix:
            self.mix = Mixup(self.mixup, self.cutmix, label_smoothing=0.0, num_classes=self.num_classes)

    def make_transform(self, pipeline: str) -> Callable:
        config = self.data_config
        if pipeline in ("none", "mirrors"):
            steps = create_transform(**config).transforms
            if pipeline == "mirrors":
                steps = [RandomHorizontalFlip(), *([RandomVerticalFlip()] if self.upside_down else []), *steps]
                steps += [RandomErasing(self.erasing, mode="pixel", device="cpu")] if self.erasing else []
            return Compose(steps)
        return create_transform(
            config["input_size"],
            is_training=True,
            vflip=0.5 if self.upside_down else 0.0,
            interpolation=config["interpolation"],
            mean=config["mean"],
            std=config["std"],
            re_prob=self.erasing,
            re_mode="pixel",
            **PIPELINES[pipeline],
        )

    def __call__(self, batch: dict[str, Any], generator: torch.Generator) -> dict[str, Any]:
        """`images` (a list of PIL images) and `labels` `(batch,)` become `pixel_values` `(batch, 3, height, width)` and, where
        pictures are mixed, labels that are shares `(batch, classes)`."""
        labels = batch["labels"]
        with seeded(generator):
            hard = set(self.hard_classes)
            pixel_values = torch.stack(
                [
                    (self.hard_transform if label in hard else self.transform)(image)
                    for image, label in zip(batch["images"], labels.tolist())
                ]
            ).to(labels.device)
            if self.mix is not None and len(labels) > 1:
                even = len(labels) // 2 * 2  # timm mixes pairs; the last of an odd batch stays as it is
                shares = F.one_hot(labels, self.num_classes).to(pixel_values.dtype)
                pixel_values[:even], shares[:even] = self.mix(pixel_values[:even], labels[:even])
                labels = shares
        return {"pixel_values": pixel_values.contiguous(memory_format=torch.channels_last), "labels": labels}


@contextlib.contextmanager
def seeded(generator: torch.Generator) -> Iterator[None]:
    """timm draws from the global generators of Python, numpy and torch: seed them inside and leave them alone outside."""
    seed = int(torch.randint(2**31, (1,), generator=generator))
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)  # not torch.manual_seed, which seeds every device
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        torch.set_rng_state(before[2])
