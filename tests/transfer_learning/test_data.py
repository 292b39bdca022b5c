import logging
import shutil

import numpy as np
import pytest
from datasets import Dataset
from PIL import Image

from hf_recipes.transfer_learning.data import load_images
from hf_recipes.transfer_learning.draws import draw_by_class, draw_splits, repeat_rare_classes
from hf_recipes.transfer_learning.duplicates import group_duplicates
from hf_recipes.transfer_learning.inputs import as_pictures, as_seen, collate, to_pil


def rows_of(images, split: str) -> set[tuple[str, int]]:
    return set(zip(images.splits[split]["split"], images.splits[split]["index"]))


def noise(seed: int, size: int = 40) -> Image.Image:
    """A picture of large random patches, so that hashes of different seeds differ."""
    patches = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(patches).resize((size, size), Image.Resampling.BICUBIC)


@pytest.fixture
def folder(tmp_path):
    """Three classes of 10, 6 and 4 different pictures, without splits."""
    for number, (name, images) in enumerate({"a": 10, "b": 6, "c": 4}.items()):
        (tmp_path / name).mkdir()
        for image in range(images):
            noise(100 * number + image).save(tmp_path / name / f"{image:02d}.png")
    return tmp_path


def test_splits_are_drawn_by_class_and_seed(folder):
    first, again, other = (
        load_images(str(folder), seed=seed, test_share=0.25, validation_share=0.25) for seed in (0, 0, 1)
    )
    assert first.names == ["a", "b", "c"] and "25%" in first.tested_on
    parts = [rows_of(first, name) for name in ("train", "validation", "test")]
    assert sum(map(len, parts)) == 20 == len(set.union(*parts))
    for name, counts in {"test": [2, 2, 1], "validation": [2, 2, 1]}.items():
        assert np.abs(np.bincount(first.splits[name]["label"]) - counts).max() <= 1
    assert rows_of(first, "test") == rows_of(again, "test") != rows_of(other, "test")


def test_duplicates_stay_together_and_are_reported(folder):
    for copy in range(4):
        noise(3).resize((44, 44)).save(folder / "a" / f"copy{copy}.png")  # of a/03, in another size
    noise(101).save(folder / "c/wrong.png")  # b/01 under another class
    for seed in range(5):
        images = load_images(str(folder), seed=seed)
        groups = group_duplicates(images.pool, 4)
        parts = [set(groups[rows]) for rows in images.rows.values()]
        assert len(parts) == 3 and sum(map(len, parts)) == len(set(groups))  # none is in two splits
    mixed, large = images.duplicates
    assert mixed["classes"] == "b, c" and mixed["same pixels"] == "yes" and mixed["number"] == 2
    assert large["classes"] == "a" and large["same pixels"] == "" and large["number"] == 5
    assert load_images(str(folder), duplicate_distance=-1).duplicates == []


def test_training_images_that_are_tested_on_are_dropped(tmp_path):
    for number in range(6):
        for name, seeds in {"a": 0, "b": 50}.items():
            for split in ("train", "test"):
                (tmp_path / split / name).mkdir(parents=True, exist_ok=True)
            noise(seeds + number).save(tmp_path / f"train/{name}/{number}.png")
    noise(2).save(tmp_path / "test/a/0.png")
    noise(90).save(tmp_path / "test/b/0.png")
    images = load_images(str(tmp_path))
    assert images.dropped == 1 and images.tested_on is None and len(images.splits["test"]) == 2
    assert not set(images.splits["train"]["hash"]) & set(images.splits["test"]["hash"])
    redrawn = load_images(str(tmp_path), redraw=True)
    assert redrawn.dropped == 0 and redrawn.tested_on
    assert sum(map(len, redrawn.splits.values())) == 14


def test_chains_of_near_duplicates_are_one_group(folder):
    split = load_images(str(folder)).splits["train"].select(range(3))
    hashes = [b"\0" * 8, b"\x07" + b"\0" * 7, b"\x3f" + b"\0" * 7]  # 3 bits from one to the next, 6 from first to last
    split = split.remove_columns("hash").add_column("hash", hashes)
    assert len(set(group_duplicates(split, 3))) == 1
    assert len(set(group_duplicates(split, 2))) == 3


def test_a_class_with_one_image_is_named(folder):
    (folder / "lonely").mkdir()
    noise(999).save(folder / "lonely/0.png")
    with pytest.raises(ValueError, match=r"class 'lonely' has too few images .* leave the class out"):
        load_images(str(folder))


def test_broken_files_are_named_or_left_out(folder, caplog):
    (folder / "b/broken.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"row \d+ of train .*broken\.png.*--skip_broken"):
        load_images(str(folder))
    with caplog.at_level(logging.WARNING, logger="hf_recipes"):
        images = load_images(str(folder), skip_broken=True)
    assert sum(map(len, images.splits.values())) == 20 and "broken.png" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger="hf_recipes"):
        again = load_images(str(folder), skip_broken=True)  # from the cache
    assert again.broken == 1 and "broken.png" in caplog.text


def test_a_large_group_of_duplicates_does_not_end_a_draw():
    labels, groups = np.zeros(100, int), np.concatenate([np.zeros(50, int), np.arange(1, 51)])
    sizes = set()
    for seed in range(30):
        drawn, rest = draw_by_class(np.arange(100), labels, groups, 0.2, np.random.default_rng(seed), ["a"])
        assert len(drawn) + len(rest) == 100 and not set(groups[drawn]) & set(groups[rest])
        sizes.add(len(drawn))
    assert sizes <= {20, 50} and 20 in sizes


def test_classes_of_the_test_that_the_training_has_not_are_an_error(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("splits")
    for name in "abc":
        shutil.copytree(folder / name, other / "train" / name)
    shutil.copytree(folder / "a", other / "test/zebra")
    with pytest.raises(ValueError, match="zebra"):
        load_images(str(other))


def test_a_share_of_the_training_images_keeps_every_class(folder):
    whole, part = load_images(str(folder)), load_images(str(folder), train_fraction=0.2)
    assert set(part.splits["train"]["label"]) == {0, 1, 2}
    assert len(part.splits["train"]) < 0.5 * len(whole.splits["train"])
    assert rows_of(part, "test") == rows_of(whole, "test")
    with pytest.raises(ValueError, match="leave nothing to train on"):
        load_images(str(folder), validation_share=0.5, test_share=0.5)
    with pytest.raises(ValueError, match=r"--train_fraction is 1\.5"):
        load_images(str(folder), train_fraction=1.5)


def test_rows_are_seen_as_the_processor_makes_them(folder):
    from transformers.models.timm_wrapper import TimmWrapperImageProcessor

    config = {
        "input_size": (3, 32, 32),
        "crop_pct": 0.8,
        "interpolation": "bicubic",
        "mean": (0.1,) * 3,
        "std": (0.3,) * 3,
    }
    processor = TimmWrapperImageProcessor(config)
    split = load_images(str(folder)).splits["test"]
    batch = collate([as_seen(split, processor)[row] for row in (0, 1)])
    expected = processor([to_pil(split[0]), to_pil(split[1])])["pixel_values"]
    assert batch["pixel_values"].equal(expected) and batch["labels"].tolist() == split["label"][:2]
    pictures = collate([as_pictures(split)[row] for row in (0, 1)])
    assert pictures["images"][1].tobytes() == to_pil(split[1]).tobytes()


def test_shares_are_of_all_images():
    labels, names = np.repeat([0, 1], 500), ["a", "b"]
    options = {"validation_share": 0.15, "test_share": 0.15, "train_fraction": 1.0, "seed": 0}
    for redraw in (True, False):
        origin = np.full(1000, "train")
        rows, dropped = draw_splits(labels, np.arange(1000), origin, names, redraw=redraw, **options)
        assert {name: len(each) for name, each in rows.items()} == {"train": 700, "validation": 150, "test": 150}
        assert not dropped and len(np.unique(np.concatenate(list(rows.values())))) == 1000


def test_rare_classes_are_repeated():
    split = Dataset.from_dict({"label": [0] * 5 + [1] * 2})
    assert np.bincount(repeat_rare_classes(split)["label"]).tolist() == [5, 5]
