"""VGG16 as a judge of images: its features, for the perceptual loss and for LPIPS. It is frozen and saved with no model."""

import hashlib
from collections.abc import Sequence

import torch
from torch import nn
from torchmetrics.functional.image.lpips import _LPIPS, _normalize_tensor, _spatial_average
from torchvision.transforms.functional import center_crop

from ..pretrained import load_features

# the last layer of each stage -> timm's number of the stage (Simonyan and Zisserman 2015)
LAYERS = {"relu1_2": 0, "relu2_2": 1, "relu3_3": 2, "relu4_3": 3, "relu5_3": 4}
MOST_SIDE = 1024  # pixels that LPIPS looks at, in both directions; all features of so many take two gigabytes


def load_vgg(backbone: str, layers: Sequence[str]) -> nn.Module:
    """A frozen network that gives a list of features, from the first stage to the last.

    Args:
        backbone: id or folder of VGG16 in timm's format.
        layers: names of `LAYERS`.

    Raises:
        OSError: when there is no such model.
        ValueError: when it is no VGG16, or some of its weights are not there.
    """
    stages = tuple(sorted(LAYERS[layer] for layer in layers))
    try:
        vgg = load_features(backbone, "--perceptual_backbone", stages)
    except (OSError, RuntimeError) as error:
        raise OSError(
            f"--perceptual_backbone {backbone}: {error}. Without VGG16, give --lpips false and no --perceptual_weight"
        ) from error
    if vgg.pretrained_cfg.get("architecture") != "vgg16":
        raise ValueError(f"--perceptual_backbone {backbone} is a {vgg.pretrained_cfg.get('architecture')} and no vgg16")
    return vgg.eval().requires_grad_(False).to(memory_format=torch.channels_last)


def normalize(vgg: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Images `(batch, 3, height, width)` of 0..1 as the network was trained on them."""
    mean, std = (images.new_tensor(vgg.pretrained_cfg[key])[:, None, None] for key in ("mean", "std"))
    return (images - mean) / std


class Lpips:
    """Learned perceptual distance of images from another (Zhang et al. 2018), 0 for equal ones; of their middle where they are large.

    Its linear layers are those of the paper, which torchmetrics brings; its VGG16 is that of `backbone`, and with other weights than
    torchvision's the distances compare images with each other, not with published numbers.
    """

    def __init__(self, backbone: str):
        self.backbone = backbone
        self.network = _LPIPS(net="vgg", pnet_rand=True)
        theirs = list(load_vgg(backbone, list(LAYERS)).parameters())
        for ours, weights in zip(self.network.net.parameters(), theirs, strict=True):
            ours.data.copy_(weights)

    @torch.no_grad()
    def __call__(self, images: Sequence[torch.Tensor], target: torch.Tensor) -> list[float]:
        """Of each image from the target, all `(3, height, width)`, 0..1; the target goes through VGG16 once."""
        wanted, distances = self.features(target), []
        for image in images:
            layers = zip(self.network.lins, self.features(image), wanted)
            distances.append(
                sum(float(_spatial_average(linear((ours - theirs) ** 2))) for linear, ours, theirs in layers)
            )
        return distances

    def digest(self) -> str:
        """Of its weights."""
        digest = hashlib.sha256()
        for value in self.network.state_dict().values():
            digest.update(value.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    def features(self, image: torch.Tensor) -> list[torch.Tensor]:
        """Of each layer, of length one at each pixel, as `_LPIPS.forward` has them."""
        image = center_crop(image, [min(side, MOST_SIDE) for side in image.shape[1:]])
        return [_normalize_tensor(layer) for layer in self.network.net(self.network.scaling_layer(2 * image[None] - 1))]
