"""What commands are given: options that several of them have, files and texts."""

import argparse
import glob
import os
import re
from pathlib import Path

Commands = argparse._SubParsersAction
DEVICE = "cpu, cuda, ...; an accelerator is used if there is one"


def accelerator() -> str:
    """Of this machine, `cpu` without one."""
    import torch

    return torch.accelerator.current_accelerator().type if torch.accelerator.is_available() else "cpu"


def at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"it is {text}, and has to be 1 or more")
    return number


def with_model(one: str) -> argparse.ArgumentParser:
    """Options of a command that applies a model; `one` is what each of its results is of."""
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument("--model", required=True, help="folder of a run, or id on the Hub")
    options.add_argument("--json", action="store_true", help=f"print one JSON object per {one}")
    options.add_argument("--device", help=DEVICE)
    return options


def on_images() -> argparse.ArgumentParser:
    """Options of a command that applies a model to images."""
    options = with_model("image")
    options.add_argument("images", nargs="+", metavar="IMAGE", help="files, folders or URLs")
    return options


def on_texts() -> argparse.ArgumentParser:
    """Options of a command that applies a model to texts."""
    options = with_model("text")
    options.add_argument("texts", nargs="+", metavar="TEXT", help="a text, or a file of one")
    return options


def is_url(name: str) -> bool:
    return name.startswith(("http://", "https://"))


def local_files(images: list[str]) -> set[Path]:
    """Those of the images that are files here, which nothing may be written over."""
    return {Path(image).resolve() for image in images if not is_url(image)}


def expand(names: list[str]) -> list[str]:
    """Files, the images in folders, what patterns match, and URLs, in order."""
    suffixes = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp"}
    found = []
    for name in names:
        if is_url(name):
            found.append(name)
        elif Path(name).is_dir():
            inside = sorted(str(path) for path in Path(name).iterdir() if path.suffix.lower() in suffixes)
            if not inside:
                raise ValueError(f"the folder {name} holds no image ({', '.join(sorted(suffixes))})")
            found += inside
        elif Path(name).is_file():
            found.append(name)
        else:
            matches = sorted(glob.glob(name))
            if not matches:
                raise FileNotFoundError(f"no such image: {name}")
            found += matches
    return found


def read_text(text_or_file: str) -> str:
    """A file's text, or the text itself. One word with a suffix or a slash that is no file is a mistyped name."""
    if os.path.isfile(text_or_file):
        return Path(text_or_file).read_text()
    if len(text_or_file.split()) == 1 and ("/" in text_or_file or re.search(r"\.[a-z]+$", text_or_file)):
        raise FileNotFoundError(f"no such file: {text_or_file}")
    return text_or_file
