"""Patches that networks are trained on, cut at random from decoded images."""

import torch
from torch.nn import functional as F

DIRECTIONS = 8  # four quarter turns, each with its mirror image
MARGIN = 2  # pixels around a small patch that those of its border are made of as well: half of the kernel's width


class PatchCutter:
    """Cuts one patch at random from each pair of images, and turns and mirrors it.

    Args:
        scale: of the pairs.
        patch_size: side in pixels of the large patches, a multiple of the scale.

    Raises:
        ValueError: when it is none.
    """

    def __init__(self, scale: int, patch_size: int):
        check_patch_size(scale, patch_size)
        self.scale, self.side = scale, patch_size // scale

    def __call__(self, batch: dict[str, list[torch.Tensor]], generator: torch.Generator) -> dict[str, torch.Tensor]:
        """Lists of uint8 images `low` and `high` become `pixel_values` `(batch, 3, side, side)` and `labels`, `scale` times as
        large, 0..1."""
        patches: tuple[list, list] = ([], [])
        for low, high in zip(batch["low"], batch["high"]):
            (top, left), direction = draw(low, self.side, generator)
            for image, factor, kept in ((low, 1, patches[0]), (high, self.scale, patches[1])):
                rows, columns = (slice(start * factor, (start + self.side) * factor) for start in (top, left))
                kept.append(turn(image[rows, columns], direction))
        small, large = (torch.stack(kept).movedim(-1, 1).float() / 255 for kept in patches)
        return {"pixel_values": small, "labels": large}


class PatchMaker:
    """Cuts one patch at random from each large image, shrinks all of every other batch by a factor, and makes the small patches of them.

    Small images hold each pixel of the large ones in one place of `scale` x `scale` only; cut anywhere and in many sizes (Dong et al.
    2016, FSRCNN), the same images give many times as many small patches.

    Args:
        scale: of the networks.
        patch_size: side in pixels of the large patches, a multiple of the scale.
        least_zoom: the least factor, above 0 to 1; it is greater where a batch has images that are too small for it.

    Raises:
        ValueError: for another patch size or factor.
    """

    def __init__(self, scale: int, patch_size: int, least_zoom: float):
        check_patch_size(scale, patch_size)
        if not 0 < least_zoom <= 1:
            raise ValueError(f"--least_zoom is {least_zoom}; it is above 0 and at most 1")
        self.scale, self.patch_size, self.least_zoom = scale, patch_size, least_zoom

    def __call__(self, batch: dict[str, list[torch.Tensor]], generator: torch.Generator) -> dict[str, torch.Tensor]:
        """A list of uint8 images `high` becomes what `PatchCutter` makes of pairs."""
        smallest = min(side for image in batch["high"] for side in image.shape[:2])
        least = max(self.least_zoom, self.patch_size / smallest)
        zoom = least + (1 - least) * min(1.0, 2 * float(torch.rand((), generator=generator)))
        margin = MARGIN * self.scale
        whole = self.patch_size + 2 * margin
        inner, outer = round(self.patch_size / zoom), round(whole / zoom)
        patches = []
        for image in batch["high"]:
            corner, direction = draw(image, inner, generator)
            corner = [start - (outer - inner) // 2 for start in corner]
            patches.append(turn(cut_mirrored(image, corner, outer), direction))
        large = shrink(torch.stack(patches).movedim(-1, 1), whole).contiguous(memory_format=torch.contiguous_format)
        small = shrink(large, whole // self.scale)
        return {
            "pixel_values": small[..., MARGIN:-MARGIN, MARGIN:-MARGIN] / 255,
            "labels": large[..., margin:-margin, margin:-margin] / 255,
        }


def check_patch_size(scale: int, patch_size: int) -> None:
    if patch_size % scale or patch_size < scale:
        raise ValueError(f"--patch_size is {patch_size}; it is a multiple of the scale, {scale}")


def draw(image: torch.Tensor, side: int, generator: torch.Generator) -> tuple[list[int], int]:
    """The upper left corner of a patch inside of an image `(height, width, channels)`, and the direction that it is turned to."""
    corner = [int(torch.randint(length - side + 1, (), generator=generator)) for length in image.shape[:2]]
    return corner, int(torch.randint(DIRECTIONS, (), generator=generator))


def cut_mirrored(image: torch.Tensor, corner: list[int], side: int) -> torch.Tensor:
    """`(side, side, channels)` from a corner on that may lie outside of an image, which is mirrored at its border as `resize_bicubic` does."""
    for axis, start in enumerate(corner):
        length = image.shape[axis]
        if 0 <= start <= length - side:  # most are inside, where nothing has to be copied
            image = image.narrow(axis, start, side)
            continue
        places = torch.arange(start, start + side, device=image.device) % (2 * length)
        image = image.index_select(axis, torch.where(places < length, places, 2 * length - 1 - places))
    return image


def shrink(images: torch.Tensor, side: int) -> torch.Tensor:
    """Images of bytes, or of floats that are whole numbers from 0 to 255, as such floats `(batch, channels, side, side)`, by the kernel
    of `resize_bicubic`."""
    if images.shape[-1] == side:
        return images.float()
    if images.device.type != "cpu":  # processors alone know bytes, and are many times faster with them
        images = images.float()
    return F.interpolate(images, (side, side), mode="bicubic", antialias=True).float().round().clamp(0, 255)


def turn(image: torch.Tensor, direction: int) -> torch.Tensor:
    """`(height, width, channels)` turned by `direction % 4` quarters, from 4 on mirrored first."""
    return torch.rot90(image.flip(1) if direction >= 4 else image, direction % 4)
