"""Augmentation of whole batches that keeps the image and its density in step.

Every operation works on `pixel_values` `(batch, channels, height, width)`, normalised, and `labels`
`(batch, height, width)`, cells per pixel, and draws from one generator, so a batch is augmented the same way whenever
the generator is seeded the same. The `pixel_mask` `(batch, height, width)` of a padded batch goes where its images go.
"""

from dataclasses import dataclass

import torch
from torch.nn import functional as F

Batch = dict[str, torch.Tensor]


def uniform(generator: torch.Generator, low: float, high: float, *shape: int) -> torch.Tensor:
    return low + (high - low) * torch.rand(shape, generator=generator)


def coin(generator: torch.Generator, batch: torch.Tensor) -> torch.Tensor:
    """One fair coin an image, `(batch, 1, 1, 1)`."""
    return (torch.rand(len(batch), 1, 1, 1, generator=generator) < 0.5).to(batch.device)


@dataclass
class Augmentation:
    """The four groups of augmentation of the study; a strength of 0 turns a group or a part of it off.

    Args:
        geometry: flips and, for square images, quarter turns: the 8 symmetries of a square, each image its own.
        crop: the smallest side of a random crop, as a share of the image's; 1 keeps whole images.
        zoom: crops are resized by a factor between `1 / (1 + zoom)` and `1 + zoom`, one factor a batch.
        keep_size: crops are resized to the image's own size instead (the regressors need it), and `zoom` is not used.
        intensity: contrast and brightness change by up to this share of a standard deviation.
        noise: images get Gaussian noise of up to this share of a standard deviation, and half as often a blur.
        stride: sides of crops are multiples of it.
    """

    geometry: bool = True
    crop: float = 1.0
    zoom: float = 0.0
    keep_size: bool = False
    intensity: float = 0.0
    noise: float = 0.0
    stride: int = 16

    def __call__(self, batch: Batch, generator: torch.Generator) -> Batch:
        """A new batch; `generator` is a CPU generator, so that every device augments the same way."""
        images, density, mask = batch["pixel_values"], batch["labels"][:, None], batch.get("pixel_mask")
        if mask is not None:  # moved, cropped and resized as one more channel
            images = torch.cat([images, mask[:, None].to(images)], 1)
        if self.geometry:
            images, density = turn(images, density, generator)
        if self.crop < 1 or self.zoom > 0:
            images, density = self.crop_and_zoom(images, density, generator)
        if mask is not None:
            images, mask = images[:, :-1], (images[:, -1] > 0.5).to(mask)
        if self.intensity > 0:
            images = change_intensity(images, self.intensity, generator)
        if self.noise > 0:
            images = add_noise(images, self.noise, generator)
        if mask is not None:
            batch, images = {**batch, "pixel_mask": mask}, images * mask[:, None]  # padding stays 0, the mean
        images = images.contiguous(memory_format=torch.channels_last)
        return {**batch, "pixel_values": images, "labels": density[:, 0]}

    def crop_and_zoom(
        self, images: torch.Tensor, density: torch.Tensor, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """One box size and one factor a batch, each image its own place."""
        height, width = images.shape[-2:]
        share = float(uniform(generator, self.crop, 1, 1))
        box = [max(self.stride, min(side, round(share * side / self.stride) * self.stride)) for side in (height, width)]
        tops = torch.randint(0, height - box[0] + 1, (len(images),), generator=generator).tolist()
        lefts = torch.randint(0, width - box[1] + 1, (len(images),), generator=generator).tolist()
        places = [(..., slice(t, t + box[0]), slice(left, left + box[1])) for t, left in zip(tops, lefts)]
        images = torch.stack([image[place] for image, place in zip(images, places)])
        density = torch.stack([each[place] for each, place in zip(density, places)])
        exponent = float(uniform(generator, -1, 1, 1))
        factor = (1 + self.zoom) ** exponent
        size = [max(self.stride, round(side * factor / self.stride) * self.stride) for side in box]
        return resize(images, density, [height, width] if self.keep_size else size)


def turn(images: torch.Tensor, density: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    for axis in (-1, -2):
        flip = coin(generator, images)
        images = torch.where(flip, images.flip(axis), images)
        density = torch.where(flip, density.flip(axis), density)
    if images.shape[-1] == images.shape[-2]:
        swap = coin(generator, images)
        images = torch.where(swap, images.transpose(-1, -2), images)
        density = torch.where(swap, density.transpose(-1, -2), density)
    return images, density


def resize(
    images: torch.Tensor, density: torch.Tensor, size: list[int] | tuple[int, int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Bilinear with anti-aliasing; the mass of every density map stays what it was.

    Args:
        images: `(batch, channels, height, width)`.
        density: `(batch, 1, height, width)`.
        size: (height, width) to reach, in pixels.
    """
    if list(images.shape[-2:]) == list(size):
        return images, density
    mass = density.sum((1, 2, 3), keepdim=True)
    images = F.interpolate(images, size=size, mode="bilinear", antialias=True)
    density = F.interpolate(density, size=size, mode="bilinear", antialias=True)
    return images, density * (mass / density.sum((1, 2, 3), keepdim=True).clamp(min=1e-9))


def change_intensity(images: torch.Tensor, strength: float, generator: torch.Generator) -> torch.Tensor:
    contrast = uniform(generator, 1 - strength, 1 + strength, len(images), 1, 1, 1).to(images)
    brightness = uniform(generator, -strength, strength, len(images), 1, 1, 1).to(images)
    return images * contrast + brightness


def add_noise(images: torch.Tensor, strength: float, generator: torch.Generator) -> torch.Tensor:
    if float(torch.rand(1, generator=generator)) < 0.5:  # a 3 x 3 binomial blur, mixed in by up to one half
        kernel = torch.tensor([1.0, 2.0, 1.0])
        kernel = (kernel[:, None] * kernel / 16).to(images).expand(images.shape[1], 1, 3, 3)
        share = uniform(generator, 0, 0.5, len(images), 1, 1, 1).to(images)
        blurred = F.conv2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), kernel, groups=images.shape[1])
        images = images + share * (blurred - images)
    sigma = uniform(generator, 0, strength, len(images), 1, 1, 1).to(images)
    return images + sigma * torch.randn(images.shape, generator=generator).to(images)
