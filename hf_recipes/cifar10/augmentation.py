"""Augmentation of whole batches of small images, in vectorised code and from one generator.

Everything works on `pixel_values` `(batch, channels, height, width)`, normalised, and `labels` `(batch,)`; where labels are
smoothed or mixed they become shares `(batch, classes)`.
"""

from dataclasses import dataclass

import torch
from torch.nn import functional as F
from transformers import TrainerCallback

Batch = dict[str, torch.Tensor]


@dataclass
class Augmentation(TrainerCallback):
    """What a training batch goes through. A callback too, since some of it depends on how far the training is.

    Args:
        num_labels: classes, for smoothed and mixed labels.
        flip: `random` mirrors each image with probability one half; `alternating` mirrors half of the images in the even
            epochs and the other half in the odd ones, so that two epochs show every image both ways (Jordan 2024).
        translate: images move by up to this many pixels, the border reflected.
        cutout: side in pixels of a square that is set to the mean of the data (DeVries and Taylor 2017), 0 for none.
        noise: standard deviation of Gaussian noise, in standard deviations of the data.
        mixup: `alpha` of the Beta distribution of the shares of two images (Zhang et al. 2018), 0 for none.
        small_size: side in pixels that images are reduced to in the first part of the training, which is then faster (progressive
            resizing, Howard 2018; Tan and Le 2021), 0 for none.
        small_until: share of the training that this part is.
        label_smoothing: share of the label that is spread over all classes (Szegedy et al. 2016).
    """

    num_labels: int
    flip: str = "none"
    translate: int = 0
    cutout: int = 0
    noise: float = 0.0
    mixup: float = 0.0
    label_smoothing: float = 0.0
    small_size: int = 0
    small_until: float = 0.6

    def __post_init__(self):
        self.epoch, self.done = 0, 0.0

    def on_epoch_begin(self, args, state, control, **kwargs):
        self.epoch = int((state.epoch or 0) + 1e-6)  # a fraction, when a training is resumed

    def on_step_begin(self, args, state, control, **kwargs):
        self.done = state.global_step / state.max_steps

    def __call__(self, batch: Batch, generator: torch.Generator) -> Batch:
        """A new batch; `generator` is a CPU generator, so that every device augments the same way."""
        images, labels = batch["pixel_values"], batch["labels"]
        if self.translate:
            images = translate(images, self.translate, generator)
        if self.flip != "none":
            images = torch.where(self.draw_flips(batch, generator)[:, None, None, None], images.flip(-1), images)
        if self.cutout:
            images = cut_out(images, self.cutout, generator)
        if self.small_size and self.done < self.small_until:
            images = F.interpolate(images, (self.small_size, self.small_size), mode="bilinear", antialias=True)
        if self.noise:
            images = images + self.noise * torch.randn(images.shape, generator=generator).to(images)
        if self.label_smoothing or self.mixup:
            labels = F.one_hot(labels, self.num_labels).to(images.dtype)
            labels = labels * (1 - self.label_smoothing) + self.label_smoothing / self.num_labels
        if self.mixup:
            images, labels = mix_up(images, labels, self.mixup, generator)
        images = images.contiguous(memory_format=torch.channels_last)
        return {"pixel_values": images, "labels": labels}

    def draw_flips(self, batch: Batch, generator: torch.Generator) -> torch.Tensor:
        """Which images to mirror, `(batch,)`."""
        if self.flip == "random":
            return (torch.rand(len(batch["labels"]), generator=generator) < 0.5).to(batch["labels"].device)
        # a hash of the image's number decides in which epochs it is mirrored (Knuth's multiplicative method)
        first = (batch["index"] * 2654435761 >> 15) & 1
        return (first + self.epoch) % 2 == 1


def translate(images: torch.Tensor, most: int, generator: torch.Generator) -> torch.Tensor:
    """Each image moved by its own whole pixels, by one gather over the reflected batch."""
    batch, _, height, width = images.shape
    padded = F.pad(images, (most, most, most, most), mode="reflect").movedim(1, -1)
    rows, columns = torch.randint(0, 2 * most + 1, (2, batch, 1), generator=generator).to(images.device)
    rows, columns = rows + torch.arange(height, device=rows.device), columns + torch.arange(width, device=rows.device)
    place = torch.arange(batch, device=rows.device)[:, None, None]
    return padded[place, rows[:, :, None], columns[:, None, :]].movedim(-1, 1)


def cut_out(images: torch.Tensor, side: int, generator: torch.Generator) -> torch.Tensor:
    """A square of each image set to 0, the mean of normalised data; its centre may lie anywhere in the image."""
    batch, _, height, width = images.shape
    centres = torch.rand(2, batch, 1, generator=generator).to(images.device)
    inside = [
        ((torch.arange(length, device=images.device) + 0.5 - centre * length).abs() < side / 2)
        for length, centre in zip((height, width), centres)
    ]
    return images.masked_fill((inside[0][:, :, None] & inside[1][:, None, :])[:, None], 0.0)


def mix_up(
    images: torch.Tensor, labels: torch.Tensor, alpha: float, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Each image and its label mixed with those of another image of the batch, by a share of its own."""
    gammas = torch._standard_gamma(torch.full((2, len(images)), alpha), generator=generator)
    share = (gammas[0] / gammas.sum(0).clamp(min=1e-12)).to(images)
    share = torch.maximum(share, 1 - share)  # the image itself is the larger part
    other = torch.randperm(len(images), generator=generator).to(images.device)
    images = torch.lerp(images[other], images, share[:, None, None, None])
    return images, torch.lerp(labels[other], labels, share[:, None])
