"""`hf-recipes count`."""

import argparse
import json
from pathlib import Path

from .inputs import Commands, expand, local_files, on_images
from .outputs import free_file, print_each, silence_transformers


def add(commands: Commands) -> None:
    parser = commands.add_parser(
        "count",
        parents=[on_images()],
        help="count the cells in images",
        description="Count the cells in images.",
        epilog="example: hf-recipes count cells/*.png --model outputs/quickstart --json",
    )
    parser.add_argument("--overlay", metavar="FILE", help="draw the density over the image; with several images, "
                       "FILE's name is followed by each image's")  # fmt: skip
    parser.add_argument("--tile-size", type=int, default=512, help="larger images are counted in tiles of this side")
    parser.set_defaults(call=count_images)


def count_images(args: argparse.Namespace) -> int:
    from .. import CellCounter, CellCounterImageProcessor, CellCountingPipeline

    silence_transformers()
    images = expand(args.images)
    overlays = overlay_files(Path(args.overlay), images) if args.overlay else {}
    counter = CellCountingPipeline(
        model=CellCounter.from_pretrained(args.model),
        image_processor=CellCounterImageProcessor.from_pretrained(args.model),
        device=args.device,
    )

    def count(image: str) -> str:
        overlay = overlays.get(image)
        result = counter(image, tile_size=args.tile_size, return_overlay=overlay is not None)
        row = {"image": image, "count": round(result["count"], 2)}
        if overlay:
            result["overlay"].save(overlay)
            row["overlay"] = str(overlay)
        return json.dumps(row) if args.json else f"{row['count']:10.1f}  {image}"

    return print_each(images, count)


def overlay_files(file: Path, images: list[str]) -> dict[str, Path]:
    """`file` for one image; for several, a file for each: the image's name follows, and a number if that name is taken.

    Raises:
        ValueError: when it is one of the images.
    """
    originals = local_files(images)
    if len(images) == 1:
        if file.resolve() in originals:
            raise ValueError(f"--overlay {file} is the image itself; give another name")
        return {images[0]: file}
    files: dict[str, Path] = {}
    for image in dict.fromkeys(images):
        target = file.with_name(f"{file.stem}-{Path(image).stem}{file.suffix or '.png'}")
        files[image] = free_file(target, files.values(), originals)
    return files
