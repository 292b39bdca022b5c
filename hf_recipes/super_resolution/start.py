"""Where a network starts: at the weights of a trained one."""

from .modeling_super_resolver import SuperResolver


def take_weights(model: SuperResolver, start_from: str) -> SuperResolver | None:
    """All weights of a trained network, but for those of the last layer where its scale is another.

    Args:
        model: takes them.
        start_from: id or folder of the trained network.

    Returns:
        The trained network, where its scale is the same, to compare with what becomes of it.

    Raises:
        ValueError: when it is another network.
    """
    trained = SuperResolver.from_pretrained(start_from).eval()
    last = tuple(f"network.{name}" for name, module in model.network.named_modules() if module is model.network.last)
    ours, theirs = model.state_dict(), trained.state_dict()
    same_scale = model.config.scale == trained.config.scale
    if not same_scale:
        theirs = {name: value for name, value in theirs.items() if not name.startswith(last)} | {
            name: value for name, value in ours.items() if name.startswith(last)
        }
    if {name: value.shape for name, value in ours.items()} != {name: value.shape for name, value in theirs.items()}:
        raise ValueError(
            f"--start_from {start_from} is another network ({trained.config.architecture}, width {trained.config.width}, "
            f"{trained.config.blocks} blocks)"
        )
    model.load_state_dict(theirs)
    return trained if same_scale else None
