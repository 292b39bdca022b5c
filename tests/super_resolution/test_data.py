import numpy as np
import pytest
import torch
from datasets import Dataset, Features
from datasets import Image as ImageFeature
from pictures import draw_picture, save_pictures
from PIL import Image

from hf_recipes.super_resolution.data import (
    as_arrays,
    as_pairs,
    check_batch_size,
    collate,
    load_benchmark,
    load_images,
    place_benchmark,
    to_arrays,
)
from hf_recipes.super_resolution.resize import resize_bicubic


def load(folder, scale=2, **options):
    return load_images(str(folder), scale, **{"validation_size": 2, "patch_size": 16, "seed": 0} | options)


def test_splits_and_benchmarks(pictures):
    loaded = load(pictures / "photos", benchmarks=["bench"])
    assert {name: len(split) for name, split in loaded.splits.items()} == {"train": 8, "validation": 2, "test": 3}
    assert loaded.tested_on == "bench" and set(loaded.splits["test"]["source"]) == {"bench"}
    used = [*loaded.splits["train"]["index"], *loaded.splits["validation"]["index"]]
    assert sorted(used) == list(range(10))
    low, high = to_arrays(loaded.splits["test"][1], 2)
    assert (high == draw_picture(101)).all() and (low == resize_bicubic(high, 1 / 2)).all()
    without = load(pictures / "photos")
    assert {name: len(split) for name, split in without.splits.items()} == {"train": 6, "validation": 2, "test": 2}
    assert without.tested_on == "2 images, drawn by the seed"
    assert loaded.splits["test"]["given"] == [True] * 3 and not any(without.splits["test"]["given"])


def test_images_are_cut_to_a_multiple_of_the_scale(tmp_path):
    save_pictures(tmp_path / "train", 4)
    Image.fromarray(draw_picture(9, 50, 61)).save(tmp_path / "train/04.png")
    loaded = load(tmp_path, scale=3, patch_size=15)
    rows = [row for split in loaded.splits.values() for row in split if row["index"] == 4]
    low, high = to_arrays(rows[0], 3)
    assert high.shape == (48, 60, 3) and low.shape == (16, 20, 3) and (high == draw_picture(9, 50, 61)[:48, :60]).all()


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "RGBA"])
def test_other_modes_become_rgb(mode, tmp_path):
    save_pictures(tmp_path / "train", 6)
    suffix = "tif" if mode == "CMYK" else "png"
    picture = Image.fromarray(draw_picture(8)).convert(mode)
    if mode == "RGBA":
        picture.putalpha(100)
    picture.save(tmp_path / f"train/99.{suffix}")
    loaded = load(tmp_path)
    rows = [row for split in loaded.splits.values() for row in split if row["index"] == 6]
    assert (to_arrays(rows[0], 2)[1] == np.asarray(picture.convert("RGB"))).all()


def test_small_and_broken_images_are_named(tmp_path):
    save_pictures(tmp_path / "train", 4)
    with pytest.raises(
        ValueError,
        match=r"row \d of train \(.*png\): the image is \d+ x \d+ pixels, smaller than a patch of 60; .*--patch_size",
    ):
        load(tmp_path, patch_size=60)
    (tmp_path / "small").mkdir()
    Image.fromarray(draw_picture(1, 15, 40)).save(tmp_path / "small/0.png")
    with pytest.raises(
        ValueError, match=r"row 0 of small \(.*0.png\): the image is 40 x 15 pixels, too small to judge, which takes 16"
    ):
        load_benchmark(str(tmp_path / "small"), 2)
    (tmp_path / "train/02.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"row 2 of train \(.*02.png\): cannot read the image"):
        load(tmp_path)


def test_pairs_that_do_not_match_are_named(pictures, tmp_path):
    rows = {"hr": [Image.fromarray(draw_picture(1))], "lr_x2": [Image.fromarray(draw_picture(1, 24, 30))]}
    features = Features({name: ImageFeature() for name in rows})
    (tmp_path / "bad").mkdir()
    Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "bad/test.parquet")
    with pytest.raises(ValueError, match="row 0 of bad: lr_x2 is 30 x 24 pixels, and hr 64 x 48: not 2 times as large"):
        load(pictures / "photos", benchmarks=[str(tmp_path / "bad")])
    loaded = load(
        pictures / "photos", scale=4, benchmarks=[str(tmp_path / "bad")]
    )  # without a column lr_x4, it is made
    low, high = to_arrays(loaded.splits["test"][0], 4)
    assert (low == resize_bicubic(high, 1 / 4)).all()


def test_folders_of_small_images_are_refused(pictures, tmp_path):
    save_pictures(tmp_path / "DIV2K_train_HR", 4)
    save_pictures(tmp_path / "DIV2K_train_LR_bicubic/X2", 4)
    for folder, benchmarks in ((tmp_path, []), (pictures / "photos", [str(tmp_path)])):
        with pytest.raises(ValueError, match="DIV2K_train_LR_bicubic looks like a folder of small images"):
            load(folder, benchmarks=benchmarks)


def test_small_images_of_the_column_lr_are_taken(pictures, tmp_path):
    low = draw_picture(1, 24, 32)
    rows = {"hr": [Image.fromarray(draw_picture(2))], "lr": [Image.fromarray(low)]}
    (tmp_path / "given").mkdir()
    features = Features({name: ImageFeature() for name in rows})
    Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "given/test.parquet")
    row = load(pictures / "photos", benchmarks=[str(tmp_path / "given")]).splits["test"][0]
    assert row["given"] and (to_arrays(row, 2)[0] == low).all()


def test_missing_benchmarks_say_what_to_do(pictures):
    with pytest.raises(FileNotFoundError, match=r"--benchmarks .*set99: .*give none with --benchmarks none"):
        load(pictures / "photos", benchmarks=["set99"])
    with pytest.raises(ValueError, match=r"--benchmarks .*bench has no column hr_x4 or hr; it has hr_x2, lr_x2"):
        load(pictures / "photos", scale=4, benchmarks=["bench"])
    assert place_benchmark("set5", "me/photos") == "me/set5"
    assert place_benchmark("you/set5", "me/photos") == "you/set5"


def test_bad_shares_are_named(pictures):
    with pytest.raises(ValueError, match="--validation_size is 10, and 10 training images are left"):
        load(pictures / "photos", validation_size=10)


def test_batches_of_whole_images_and_of_images_to_cut(pictures):
    loaded = load(pictures / "photos", benchmarks=["bench"])
    test = as_pairs(loaded.splits["test"], 2, ["", "bench"])
    batch = collate([test[0], test[1]])
    assert batch["pixel_values"].shape == (2, 3, 24, 32) and batch["labels"].shape == (2, 3, 48, 64)
    assert batch["source"].tolist() == [1, 1] and 0 <= batch["labels"].min() < batch["labels"].max() <= 1
    train = as_arrays(loaded.splits["train"], 2)
    assert [image.dtype for image in collate([train[0], train[1]])["high"]] == [torch.uint8] * 2
    with pytest.raises(
        ValueError, match="the images of validation differ in size; give --per_device_eval_batch_size 1"
    ):
        check_batch_size({"validation": loaded.splits["train"], "test": loaded.splits["test"]}, 2)
    check_batch_size({"validation": loaded.splits["train"], "test": loaded.splits["test"]}, 1)
