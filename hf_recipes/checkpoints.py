"""Files of a run that are either whole or not there: checkpoints with a manifest, and JSON."""

import json
import logging
import os
from pathlib import Path
from typing import Any

from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

logger = logging.getLogger(__name__)

MANIFEST_FILE = "complete.json"  # in a checkpoint: its files and their sizes, written last


def write_manifest(folder: Path) -> None:
    """Say that a checkpoint is whole: the sizes of all its files, written last."""
    files = (file for file in folder.rglob("*") if file.is_file() and file.name != MANIFEST_FILE)
    write_json(folder / MANIFEST_FILE, {str(file.relative_to(folder)): file.stat().st_size for file in files})


def last_whole_checkpoint(folder: Path) -> str | None:
    """The last checkpoint whose files are all there; a half-written one is named in a warning and left alone."""
    found = [place for place in folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*") if step_of(place) is not None]
    for checkpoint in sorted(found, key=step_of, reverse=True):
        sizes = read_json(checkpoint / MANIFEST_FILE)
        if sizes is not None and all(
            (checkpoint / name).is_file() and (checkpoint / name).stat().st_size == size for name, size in sizes.items()
        ):
            return str(checkpoint)
        logger.warning("Skipping %s: it was not written to its end", checkpoint)
    return None


def step_of(checkpoint: Path) -> int | None:
    """The step that a checkpoint's folder is named after; None for a copy that somebody made."""
    step = checkpoint.name.removeprefix(f"{PREFIX_CHECKPOINT_DIR}-")
    return int(step) if step.isdecimal() else None


def read_json(path: Path) -> Any:
    """What a JSON file holds; None if it is missing or not whole."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def write_json(path: Path, value: Any) -> None:
    """All or nothing: a reader never sees half a file."""
    part = path.with_name(path.name + ".tmp")
    part.write_text(json.dumps(value, indent=1, default=float) + "\n")
    os.replace(part, path)
