"""Configuration of the super-resolution networks. This file travels to the Hub with the weights."""

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

ARCHITECTURES = ("srcnn", "espcn", "light")
SCALES = (2, 3, 4)


@strict
class SuperResolverConfig(PreTrainedConfig):
    """Configuration of a [`SuperResolver`].

    Args:
        scale (`int`): how many times as wide and high the result is: 2, 3 or 4.
        architecture (`str`): `srcnn` works on the interpolated image, `espcn` and `light` on the small one.
        width (`int`): channels of `light`.
        blocks (`int`): residual blocks of `light`.
    """

    model_type = "super_resolver"

    scale: int = 2
    architecture: str = "light"
    width: int = 32
    blocks: int = 10

    def validate_architecture(self):
        """Raises a `ValueError` that names the field."""
        for name, value, accepted in (
            ("architecture", self.architecture, ARCHITECTURES),
            ("scale", self.scale, SCALES),
        ):
            if value not in accepted:
                raise ValueError(f"{name} is {value!r}; it can be one of {', '.join(map(str, accepted))}")
        for name in ("width", "blocks"):
            value = getattr(self, name)
            if value < 1:
                raise ValueError(f"{name} is {value}; it is at least 1")
            if self.architecture != "light" and value != getattr(type(self), name):
                raise ValueError(f"{name} is {value}, and {self.architecture} has no such option")


SuperResolverConfig.register_for_auto_class()
