import json
import logging

import numpy as np
import pytest
import torch
from conftest import write_pairs
from datasets import Array2D, Dataset, DatasetDict, Features, Image, List, Value
from PIL import Image as PILImage

from hf_recipes import CellCounterImageProcessor
from hf_recipes.cell_counting.data import (
    CellCollator,
    check_one_size,
    decode_array,
    load_cells,
    make_density,
    measure_normalization,
    to_points,
)
from hf_recipes.cell_counting.sources import draw_splits, find_columns

POINTS = [[3.0, 4.0], [20.0, 10.0], [31.9, 23.9]]


@pytest.fixture
def processor():
    return CellCounterImageProcessor(num_channels=1)


def labels_of_every_kind():
    dots, mask, instances = (np.zeros((24, 32), np.uint8) for _ in range(3))
    density = np.zeros((24, 32), np.float32)
    for number, (x, y) in enumerate(POINTS, 1):
        x, y = int(x), int(y)
        dots[y, x] = 255
        mask[max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3] = 255
        instances[max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3] = 40 * number
        density[y, x] = 1
    return {
        "points": (POINTS, List(List(Value("float32")))),
        "dots": (PILImage.fromarray(dots), Image()),
        "mask": (PILImage.fromarray(mask), Image()),
        "instances": (PILImage.fromarray(instances), Image()),
        "density": (density, Array2D((24, 32), "float32")),
    }


POINTS_COLUMN = ("points", POINTS, List(List(Value("float32"))))


def save_folder(folder, label=POINTS_COLUMN, images=None, **splits):
    """A data set on disk as `load_dataset(folder)` reads it: parquet by split."""
    name, value, feature = label
    for split, number in (splits or {"train": 6, "test": 2}).items():
        rows = {
            "image": images or [PILImage.fromarray(np.full((24, 32), 10 * i, np.uint8)) for i in range(number)],
            name: [value] * number,
        }
        (folder / "data").mkdir(parents=True, exist_ok=True)
        Dataset.from_dict(rows, features=Features({"image": Image(), name: feature})).to_parquet(
            folder / "data" / f"{split}-00000.parquet"
        )
    return str(folder)


@pytest.mark.parametrize("kind", labels_of_every_kind())
@pytest.mark.parametrize("size", [None, (48, 64), (17, 21)])
def test_every_kind_of_annotation_sums_to_the_count(processor, tmp_path, kind, size):
    value, feature = labels_of_every_kind()[kind]
    folder = save_folder(tmp_path, (kind, value, feature))
    splits = load_cells(folder, processor, image_size=size)
    row = splits["test"][0]
    pixels, density = decode_array(row)
    assert density.sum(dtype=np.float64) == pytest.approx(3, abs=1e-3) and row["count"] == pytest.approx(3, abs=1e-3)
    assert pixels.shape == (*(size or (24, 32)), 1) and pixels.dtype == np.uint8


def test_names_are_those_of_files_and_not_of_folders(processor, tmp_path):
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        rows = []
        for number in range(4):
            PILImage.fromarray(np.full((24, 32), 10 * number, np.uint8)).save(tmp_path / split / f"{split}{number}.png")
            rows.append({"file_name": f"{split}{number}.png", "points": [[3, 4], [5, 6]]})
        (tmp_path / split / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    splits = load_cells(str(tmp_path), processor)
    assert sorted(splits["test"]["name"]) == [f"test{number}.png" for number in range(4)]


def test_a_folder_of_pairs(processor, tmp_path):
    folder = write_pairs(tmp_path / "pairs", 10)
    splits = load_cells(str(folder), processor, test_size=3, validation_size=2, seed=1)
    assert {name: len(split) for name, split in splits.items()} == {"train": 5, "validation": 2, "test": 3}
    names = [name for split in splits.values() for name in split["name"]]
    assert len(set(names)) == 10 and all(name.endswith("cell.png") for name in names)
    for split, number in (("train", 6), ("test", 2)):
        write_pairs(tmp_path / "split" / split, number)
    splits = load_cells(str(tmp_path / "split"), processor, train_size=4)
    assert {name: len(split) for name, split in splits.items()} == {"train": 4, "validation": 2, "test": 2}
    (folder / "003dots.png").unlink()
    with pytest.raises(ValueError, match=r"003cell\.png has no partner"):
        load_cells(str(folder), processor, test_size=3)


def test_images_of_a_slide_are_held_out_by_their_names(processor, tmp_path):
    for split, number in (("train", 6), ("test", 4)):
        write_pairs(tmp_path / "pairs" / split, number)
    splits = load_cells(str(tmp_path / "pairs"), processor, test_names="00[01]cell")
    assert sorted(splits["test"]["name"]) == ["000cell.png", "000cell.png", "001cell.png", "001cell.png"]
    assert not {*splits["train"]["name"], *splits["validation"]["name"]} & set(splits["test"]["name"])
    assert len(splits["train"]) + len(splits["validation"]) == 6
    folder = save_folder(tmp_path / "unnamed", next((k, *v) for k, v in labels_of_every_kind().items()))
    for wrong, message in (("none.png", "finds none of the 10"), ("cell", "finds all"), ("(", "no regular expression")):
        with pytest.raises(ValueError, match=message):
            load_cells(str(tmp_path / "pairs"), processor, test_names=wrong)
    with pytest.raises(ValueError, match="both say which"):
        load_cells(folder, processor, test_names="a", test_size=1)


def test_synthetic_cells(processor):
    splits = load_cells("synthetic", processor)
    assert {name: len(split) for name, split in splits.items()} == {"train": 64, "validation": 16, "test": 24}
    masks = load_cells("synthetic", processor, label_column="mask", label_kind="instances")
    points, shown = np.array(splits["test"]["count"]), np.array(masks["test"]["count"])
    mixed = load_cells("synthetic", processor, label_column="mask", label_kind="binary", reference_column="points")
    assert np.allclose(mixed["test"]["count"], points) and not np.allclose(
        mixed["train"]["count"], masks["train"]["count"]
    )
    assert (shown <= points + 0.01).all() and shown.sum() > 0.85 * points.sum()  # a mask hides cells under others


def test_splits_are_drawn_by_seed_and_never_share_an_example():
    data = DatasetDict(train=Dataset.from_dict({"x": range(20)}), test=Dataset.from_dict({"x": range(100, 105)}))
    first, same, other = (draw_splits(data, 8, 8, None, seed) for seed in (1, 1, 2))
    assert first["train"]["x"] == same["train"]["x"] != other["train"]["x"]
    assert len(first["train"]) == len(first["validation"]) == 8 and first["test"]["x"] == list(range(100, 105))
    assert not set(first["train"]["x"]) & set(first["validation"]["x"])
    assert len(draw_splits(data, 15, 15, None, 1)["validation"]) == 5  # what is left
    pooled = draw_splits(data, None, 2, 6, 1)
    assert sorted(x for split in pooled.values() for x in split["x"]) == [*range(20), *range(100, 105)]
    assert len(pooled["test"]) == 6 and len(pooled["validation"]) == 2
    for wrong in (
        {"train_size": 20},
        {"validation_size": 20},
        {"test_size": 24},
        {"train_size": 0},
        {"validation_size": 0},
    ):
        sizes = {"train_size": None, "validation_size": None, "test_size": None} | wrong
        with pytest.raises(ValueError, match=f"--{next(iter(wrong))} is"):
            draw_splits(data, *sizes.values(), seed=1)
    with pytest.raises(ValueError, match="--test_size"):
        draw_splits(DatasetDict(train=data["train"]), None, None, None, 0)


def test_columns_are_found_or_explained(processor, tmp_path):
    data = DatasetDict(train=Dataset.from_dict({"photo": [1], "spots": [[]], "dots": [0]}))
    assert find_columns(data, "photo", None, None) == ("photo", "dots", "dots")
    assert find_columns(data, "photo", "spots", "points") == ("photo", "spots", "points")
    with pytest.raises(ValueError, match=r"none of the columns image, img.*photo, spots, dots.*--image_column"):
        find_columns(data, None, None, None)
    with pytest.raises(ValueError, match=r"no column 'cells'.*--label_column"):
        find_columns(data, "photo", "cells", None)
    with pytest.raises(ValueError, match=r"--label_kind .*'spots'"):
        find_columns(data, "photo", "spots", None)


def test_points_come_in_three_shapes():
    pairs = [[1.0, 2.0], [3.0, 4.0]]
    records, columns = [{"x": x, "y": y} for x, y in pairs], {"x": [1.0, 3.0], "y": [2.0, 4.0]}
    for label in (pairs, records, columns):
        assert to_points(label).tolist() == pairs
    assert to_points([]).shape == (0, 2)


def test_missing_and_empty_folders(processor, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere does not exist"):
        load_cells(str(tmp_path / "nowhere"), processor)
    with pytest.raises(FileNotFoundError, match="'data/vgg-cells' is neither a folder here nor"):
        load_cells("data/vgg-cells", processor)
    with pytest.raises(ValueError, match="is empty"):
        load_cells(str(tmp_path), processor)


def test_points_outside_are_named_and_dropped_only_if_asked(processor, tmp_path, caplog):
    folder = save_folder(tmp_path, ("points", [*POINTS, [40.0, 5.0]], List(List(Value("float32")))))
    with pytest.raises(Exception, match=r"row \d of \w+.*1 points lie outside.*32 x 24.*x=40, y=5.*--drop_outside"):
        load_cells(folder, processor)
    with caplog.at_level(logging.WARNING):
        splits = load_cells(folder, processor, drop_outside_points=True)
    assert splits["test"][0]["count"] == pytest.approx(3, abs=1e-3) and "dropped 1 points" in caplog.text


def test_a_mask_of_another_size_is_named(processor, tmp_path):
    mask = PILImage.fromarray(np.zeros((24, 30), np.uint8))
    with pytest.raises(Exception, match=r"row 0 of \w+.*'mask'.*\(24, 30\).*\(24, 32\)"):
        load_cells(save_folder(tmp_path, ("mask", mask, Image())), processor)


@pytest.mark.parametrize(("wrong", "word"), [(np.nan, "NaN"), (-1.0, "below 0")])
def test_a_bad_density_map_is_named(processor, tmp_path, wrong, word):
    density = np.full((24, 32), wrong, np.float32)
    with pytest.raises(Exception, match=rf"row 0 of \w+.*'density'.*{word}"):
        load_cells(save_folder(tmp_path, ("density", density, Array2D((24, 32), "float32"))), processor)


def test_a_truncated_image_is_named(processor, tmp_path):
    folder = write_pairs(tmp_path / "pairs", 4)
    image = folder / "002cell.png"
    image.write_bytes(image.read_bytes()[:300])
    with pytest.raises(Exception, match=r"row \d of \w+ \(.*002cell\.png\): cannot read the image"):
        load_cells(str(folder), processor, test_size=1)


def test_the_normalisation_is_that_of_the_data(processor, tmp_path):
    splits = load_cells(str(write_pairs(tmp_path / "pairs", 6)), processor, test_size=1)
    measure_normalization(splits["train"], processor)
    pixels = CellCollator(processor)(list(splits["train"]))["pixel_values"]
    assert pixels.mean().abs() < 1e-3 and pixels.std() == pytest.approx(1, abs=1e-2)
    constant = CellCounterImageProcessor(num_channels=3)
    measure_normalization(load_cells(str(tmp_path / "pairs"), constant, test_size=1)["train"], constant)
    assert len(constant.image_std) == 3


def test_the_collator_pads_and_marks(processor, tmp_path):
    for index, size in enumerate((32, 40, 32)):
        write_pairs(tmp_path / str(index), 1, size)
    rows = [load_all(tmp_path / str(index), processor) for index in range(3)]
    batch = CellCollator(processor)([rows[0], rows[1]])
    assert batch["pixel_values"].shape == (2, 1, 40, 40) and batch["labels"].shape == (2, 40, 40)
    assert batch["pixel_mask"].sum((1, 2)).tolist() == [32 * 32, 40 * 40]
    assert torch.allclose(batch["labels"].sum((1, 2)), torch.tensor([rows[0]["count"], rows[1]["count"]]).float())
    same = CellCollator(processor)([rows[0], rows[2]])
    assert "pixel_mask" not in same and same["pixel_values"].is_contiguous(memory_format=torch.channels_last)


def load_all(folder, processor):
    from functools import partial

    from hf_recipes.cell_counting.data import decode_row
    from hf_recipes.cell_counting.sources import load_splits

    row = load_splits(str(folder))["train"][0]
    return partial(
        decode_row, image_column="image", label_column="dots", label_kind="dots", processor=processor, sigma=1.0,
        image_size=None, drop_outside_points=False, split_name="train",
    )(row, 0)  # fmt: skip


def annotation(mode: str):
    """Two cells, touching, as an image of a mode: red (or 200) and green (or 90) on black or on nothing."""
    indices = np.zeros((24, 32), np.uint8)
    indices[4:8, 4:8], indices[8:12, 4:8] = 1, 2
    colours = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0]], np.uint8)
    if mode == "P":
        image = PILImage.fromarray(indices, "P")
        image.putpalette(colours.tobytes())
        return image
    image = PILImage.fromarray(colours[indices])
    if mode in ("RGBA", "LA"):
        image = image.convert(mode)
        image.putalpha(PILImage.fromarray(np.where(indices > 0, 255, 0).astype(np.uint8)))
    return image


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P"])
@pytest.mark.parametrize(("kind", "cells"), [("instances", 2), ("mask", 2), ("dots", 1)])
def test_colours_and_transparency_of_annotations(mode, kind, cells):
    density = make_density(annotation(mode), kind, (24, 32), 1.0, False, "")
    assert density.sum() == pytest.approx(cells, abs=1e-3)


def test_annotations_that_say_nothing_certain_are_refused(tmp_path, processor):
    PILImage.fromarray(np.zeros((24, 32), np.uint8)).save(tmp_path / "dots.jpg")
    white = PILImage.fromarray(np.full((24, 32), 255, np.uint8))
    for kind, label, message in (
        ("dots", str(tmp_path / "dots.jpg"), "JPEG"),
        ("dots", white, "bright on a background of 0"),
        ("mask", np.zeros((24, 32, 5)), r"\(height, width\)"),
        ("points", [[1.0, 2.0, 3.0, 4.0]], r"pairs \[x, y\]"),
        ("points", [[1.0, 2.0, 0.0], [3.0, 4.0, 1.0]], r"pairs \[x, y\]"),
        ("points", [{"x": 1.0, "z": 2.0}], "a point has no 'y'"),
    ):
        with pytest.raises(ValueError, match=message):
            make_density(label, kind, (24, 32), 1.0, False, "")
    boxes = ("points", [[1.0, 2.0, 3.0, 4.0]], List(List(Value("float32"))))
    with pytest.raises(ValueError, match=r"row 0 of .*column 'points'.*pairs"):
        load_cells(save_folder(tmp_path / "boxes", boxes), processor)


def test_a_float_image_out_of_range_is_named_before_any_training(processor, tmp_path):
    images = {name: [np.full((24, 32), 0.5, np.float32)] * 4 for name in ("train", "test")}
    images["test"][2] = np.full((24, 32), 7.0, np.float32)
    features = Features({"image": Array2D((24, 32), "float32"), "points": List(List(Value("float32")))})
    (tmp_path / "data").mkdir()
    for name, arrays in images.items():
        Dataset.from_dict({"image": arrays, "points": [POINTS] * 4}, features=features).to_parquet(
            tmp_path / f"data/{name}-00000.parquet"
        )
    with pytest.raises(ValueError, match=r"row 2 of test: .*reaches from 7 to 7.*--intensity image"):
        load_cells(str(tmp_path), processor)
    load_cells(str(tmp_path), CellCounterImageProcessor(num_channels=1, intensity="image"))


def test_a_regressor_wants_one_size(processor, tmp_path):
    images = [PILImage.fromarray(np.zeros((24, 32 + 8 * (i == 3)), np.uint8)) for i in range(4)]
    folder = save_folder(tmp_path, images=images, train=4, test=4)
    with pytest.raises(ValueError, match=r"24 x (32|40) pixels .*--image_size"):
        check_one_size(load_cells(folder, processor))
    check_one_size(load_cells(folder, processor, image_size=(24, 32)))


def test_pairs_may_be_numbered_after_the_word(processor, tmp_path):
    folder = write_pairs(tmp_path / "pairs", 4)
    for path in list(folder.iterdir()):  # as the files of MBM are named
        number, word = path.stem[:3], path.stem[3:]
        path.rename(folder / (f"HE_0001_{number}.png" if word == "cell" else f"HE_0001_dots_{number}.png"))
    splits = load_cells(str(folder), processor, test_size=1, validation_size=1)
    assert sorted(name for split in splits.values() for name in split["name"]) == [
        f"HE_0001_00{i}.png" for i in range(4)
    ]
    (folder / "HE_0001_002.png").unlink()
    with pytest.raises(ValueError, match=r"HE_0001_dots_002\.png has no partner"):
        load_cells(str(folder), processor, test_size=1)
