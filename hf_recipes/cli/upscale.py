"""`hf-recipes upscale`."""

import argparse
import json
from pathlib import Path

from .inputs import Commands, expand, is_url, local_files, on_images
from .outputs import free_file, print_each, silence_transformers

# modes of images that a format keeps as they are
KEPT = {
    ".png": ("L", "LA", "RGB", "RGBA", "I;16"),
    ".tif": ("L", "LA", "RGB", "RGBA", "I;16"),
    ".tiff": ("L", "LA", "RGB", "RGBA", "I;16"),
    ".webp": ("RGB", "RGBA"),
    ".jpg": ("L", "RGB"),
    ".jpeg": ("L", "RGB"),
    ".bmp": ("L", "RGB"),
}
# what these formats would lose by default
SAVED = {
    ".jpg": {"quality": 95, "subsampling": 0},
    ".jpeg": {"quality": 95, "subsampling": 0},
    ".webp": {"lossless": True},
}


def add(commands: Commands) -> None:
    parser = commands.add_parser(
        "upscale",
        parents=[on_images()],
        help="make images larger",
        description="Make images larger. Each is saved as NAME-xSCALE.png beside the original, or where --output says.",
        epilog="example: hf-recipes upscale photo.png --model outputs/super_resolution_light_x2 --output large.png",
    )
    parser.add_argument("--output", metavar="PLACE", help="a file for one image, a folder for several")
    parser.add_argument("--scale", type=int, help="what the result should be; an error if the model makes another")
    parser.add_argument("--tile-size", type=int, help="pixels of a tile; the smaller, the less memory")
    parser.add_argument(
        "--self-ensemble", action="store_true", help="the mean over turns and mirror images; 8 times the work"
    )
    parser.set_defaults(call=upscale_images)


def upscale_images(args: argparse.Namespace) -> int:
    from .. import SuperResolutionPipeline, SuperResolver

    silence_transformers()
    images = expand(args.images)
    upscaler = SuperResolutionPipeline(model=SuperResolver.from_pretrained(args.model), device=args.device)
    files = upscaled_files(images, args.output, upscaler.model.config.scale)

    def upscale(image: str) -> str:
        result = upscaler(image, scale=args.scale, tile_size=args.tile_size, self_ensemble=args.self_ensemble)
        save_whole(result, files[image])
        row = {"image": image, "output": str(files[image]), "width": result.width, "height": result.height}
        return json.dumps(row) if args.json else f"{files[image]}  {result.width} x {result.height}"

    return print_each(images, upscale)


def upscaled_files(images: list[str], output: str | None, scale: int) -> dict[str, Path]:
    """The file that each image is saved as; never one of the images.

    Raises:
        ValueError: when `output` is one of them, one file for several images, or of a format that is not known.
    """
    originals = local_files(images)
    if output is not None and Path(output).suffix and not Path(output).is_dir():
        if len(images) > 1:
            raise ValueError(f"--output {output} is one file for {len(images)} images; give a folder")
        if Path(output).suffix.lower() not in KEPT:
            raise ValueError(f"--output {output}: images are saved as {', '.join(KEPT)}")
        if Path(output).resolve() in originals:
            raise ValueError(f"--output {output} is the image itself; give another name")
        return {images[0]: Path(output)}
    files: dict[str, Path] = {}
    for image in dict.fromkeys(images):
        source = Path(image.split("?")[0]) if is_url(image) else Path(image)
        folder = Path(output) if output else Path() if is_url(image) else source.parent
        files[image] = free_file(folder / f"{source.stem}-x{scale}.png", files.values(), originals)
    return files


def save_whole(image, file: Path) -> None:
    """Save an image under its name only when it is written; what stood there before stays if it cannot be.

    Raises:
        ValueError: when the format would lose 16 bits or an alpha channel.
    """
    if image.mode not in KEPT[file.suffix.lower()]:
        what = "16 bits" if image.mode == "I;16" else "this image's transparency" if "A" in image.mode else image.mode
        raise ValueError(f"{file.suffix} does not keep {what}; save it as .png")
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f"{file.stem}.part{file.suffix}")
    image.save(part, icc_profile=image.info.get("icc_profile"), **SAVED.get(file.suffix.lower(), {}))
    part.replace(file)
