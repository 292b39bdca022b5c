"""What commands print, and the names of the files that they write."""

import sys
from collections.abc import Callable, Collection
from pathlib import Path

from ..errors import explain


def free_file(file: Path, taken: Collection[Path], originals: Collection[Path]) -> Path:
    """The file, with a number after its name where it is taken or one of the originals."""
    free, number = file, 1
    while free in taken or free.resolve() in originals:
        number += 1
        free = file.with_stem(f"{file.stem}-{number}")
    return free


def silence_transformers() -> None:
    """So that nothing but results and errors is printed; failures are exceptions, and what transformers logs as an error
    beside them is that it does not know our model classes."""
    from transformers.utils import logging

    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()


def print_each(images: list[str], describe: Callable[[str], str]) -> int:
    """Print what `describe` says of each image; an image that fails is named, and the others go on. The exit status."""
    failed = False
    for image in images:
        try:
            print(describe(image), flush=True)
        except Exception as error:
            line = explain(error)
            if line is None:
                raise
            print(f"error: {line}" if image in line else f"error: {image}: {line}", file=sys.stderr)
            failed = True
    return int(failed)
