import numpy as np
import pytest
import torch
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, Value
from PIL import Image as PILImage

from hf_recipes.cifar10.data import ImageCollator, decode_batch, load_images, make_processor, measure_normalization
from hf_recipes.loading import encode_labels


def save(folder, labels, feature, images=None, column="img", label_column="label", splits=("train", "test")):
    """A data set on disk that `load_dataset` reads."""
    folder.mkdir(exist_ok=True)
    images = images or [PILImage.fromarray(np.full((16, 16, 3), 10 * n % 250, np.uint8)) for n in range(len(labels))]
    features = Features({column: Image(), label_column: feature})
    rows = Dataset.from_dict({column: images, label_column: labels}, features=features)
    for split in splits:
        rows.to_parquet(folder / f"{split}.parquet")
    return str(folder)


def test_a_folder_of_classes_becomes_three_splits_of_raw_pixels(shapes):
    processor = make_processor(16)
    splits, names, image_format, _ = load_images(str(shapes), processor, validation_share=0.15)
    assert names == ["circle", "cross", "stripes"] and image_format == "PNG"
    assert {name: len(split) for name, split in splits.items()} == {"train": 51, "validation": 9, "test": 24}
    assert np.bincount(splits["validation"]["label"]).tolist() == [3, 3, 3]
    first = np.frombuffer(splits["test"][0]["pixels"], np.uint8).reshape(16, 16, 3)
    assert np.array_equal(first, np.asarray(PILImage.open(shapes / "test" / "circle" / "00.png")))
    pixels = [set(splits[name]["pixels"]) for name in ("train", "validation")]
    assert not pixels[0] & pixels[1]
    again = load_images(str(shapes), processor, validation_share=0.15)[0]
    other = load_images(str(shapes), processor, validation_share=0.15, seed=4)[0]
    assert again["train"]["pixels"] == splits["train"]["pixels"] != other["train"]["pixels"]


def test_a_share_of_every_class_trains_and_the_validation_stays(shapes):
    whole = load_images(str(shapes), make_processor(16))[0]
    part = load_images(str(shapes), make_processor(16), train_fraction=0.2)[0]
    assert np.bincount(part["train"]["label"]).tolist() == [4, 4, 4]  # of 18
    assert part["validation"]["pixels"] == whole["validation"]["pixels"]


def test_the_validation_images_may_train_in_the_end(shapes):
    splits, *_ = load_images(str(shapes), make_processor(16))
    everything, *_ = load_images(str(shapes), make_processor(16), train_on_validation=True)
    assert "validation" not in everything
    assert sorted(everything["train"]["pixels"]) == sorted(
        pixels for name in ("train", "validation") for pixels in splits[name]["pixels"]
    )
    assert everything["test"]["pixels"] == splits["test"]["pixels"]


def test_batches_are_what_the_processor_makes_of_the_images(shapes):
    processor = make_processor(16)
    splits, *_ = load_images(str(shapes), processor, validation_share=0.15)
    measure_normalization(splits["train"], processor)
    batch = ImageCollator(processor)([splits["test"][n] for n in range(24)])
    files = sorted((shapes / "test").glob("*/*.png"))
    expected = processor([PILImage.open(file) for file in files], return_tensors="pt")["pixel_values"]
    assert torch.allclose(batch["pixel_values"], expected, atol=1e-5)
    assert batch["labels"].tolist() == [0] * 8 + [1] * 8 + [2] * 8
    assert batch["pixel_values"].is_contiguous(memory_format=torch.channels_last)
    train = ImageCollator(processor)([splits["train"][n] for n in range(51)])["pixel_values"]
    assert torch.allclose(train.mean((0, 2, 3)), torch.zeros(3), atol=1e-4)
    assert torch.allclose(train.std((0, 2, 3)), torch.ones(3), atol=1e-2)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "I;16"])
def test_images_of_any_mode_and_size_are_those_of_the_processor(mode, tmp_path):
    gray = [np.random.default_rng(n).integers(0, 256, (5, 8), np.uint8).repeat(8, 0).repeat(8, 1) for n in range(20)]
    images = [
        PILImage.fromarray(each.astype(np.uint16) * 257) if mode == "I;16" else PILImage.fromarray(each).convert(mode)
        for each in gray
    ]
    folder = save(tmp_path, [0, 1] * 10, ClassLabel(names=["a", "b"]), images)
    processor = make_processor(16)
    splits, *_ = load_images(folder, processor)
    pixels = np.frombuffer(splits["test"][3]["pixels"], np.uint8).reshape(16, 16, 3)
    processor.image_mean, processor.image_std = [0.0] * 3, [1 / 255] * 3
    expected = processor(PILImage.fromarray(gray[3]).convert("RGB"))["pixel_values"][0]
    assert np.abs(pixels - np.moveaxis(np.asarray(expected), 0, -1)).max() <= 2


def test_the_row_of_a_broken_image_is_that_of_the_data_set(tmp_path):
    feature, pictures = ClassLabel(names=["a", "b"]), []
    for number in range(20):
        PILImage.new("RGB", (16, 16), (number, 0, 0)).save(tmp_path / f"{number}.png")
        pictures.append({"bytes": (tmp_path / f"{number}.png").read_bytes(), "path": None})
    for broken in (0, 13):
        rows = [*pictures]
        rows[broken] = {"bytes": b"no image", "path": None}
        folder = save(tmp_path / str(broken), [0, 1] * 10, feature, rows)
        with pytest.raises(ValueError, match=f"row {broken} of train: cannot read the image"):
            load_images(folder, make_processor(16))


@pytest.mark.parametrize("labels", [["dog", "cat"] * 10, [7, 3] * 10])
def test_any_values_are_classes(labels, tmp_path):
    feature = Value("string" if isinstance(labels[0], str) else "int64")
    folder = save(tmp_path, labels, feature, label_column="animal")
    with pytest.raises(ValueError, match=r"0 columns of ClassLabel.*animal.*--label_column"):
        load_images(folder, make_processor(16))
    splits, names, *_ = load_images(folder, make_processor(16), label_column="animal")
    assert names == sorted(map(str, set(labels)))
    assert [names[label] for label in splits["test"]["label"]] == list(map(str, labels))


def test_what_is_wrong_with_a_data_set_is_named(tmp_path, shapes):
    processor = make_processor(16)
    folder = save(tmp_path, [0, 1] * 4, ClassLabel(names=["a", "b"]))
    with pytest.raises(ValueError, match=r"no column 'image'; it has img, label"):
        load_images(folder, processor, image_column="image")
    with pytest.raises(ValueError, match="--validation_share is 9; it is a share"):
        load_images(folder, processor, validation_share=9)
    with pytest.raises(ValueError, match="no image is left for validation"):
        load_images(folder, processor)
    with pytest.raises(ValueError, match="--train_fraction"):
        load_images(folder, processor, train_fraction=0.0)
    with pytest.raises(FileNotFoundError, match="no/where"):
        load_images("no/where", processor)
    (tmp_path / "train.parquet").unlink()
    with pytest.raises(ValueError, match="has the splits test; 'train' is needed"):
        load_images(folder, processor)


def test_without_a_test_split_the_validation_or_a_share_is_the_test(tmp_path):
    feature = ClassLabel(names=["a", "b"])
    save(tmp_path / "one", [0, 1] * 10, feature, splits=("train",))
    splits, _, _, tested_on = load_images(str(tmp_path / "one"), make_processor(16))
    assert {name: len(split) for name, split in splits.items()} == {"train": 14, "test": 4, "validation": 2}
    assert tested_on == "20% of the images, drawn by the seed"
    assert len({*splits["train"]["index"], *splits["test"]["index"], *splits["validation"]["index"]}) == 20
    save(tmp_path / "two", [0, 1] * 10, feature, splits=("train", "validation"))
    splits, _, _, tested_on = load_images(str(tmp_path / "two"), make_processor(16))
    assert len(splits["test"]) == 20 and len(splits["validation"]) == 2 and tested_on == "its validation split"
    save(tmp_path / "two", [-1] * 20, feature, splits=("test",))  # a test whose labels are kept secret
    assert load_images(str(tmp_path / "two"), make_processor(16)).tested_on == "its validation split"
    save(tmp_path / "two", [0, 1] * 5, feature, splits=("test",))
    splits, _, _, tested_on = load_images(str(tmp_path / "two"), make_processor(16))
    sizes = {name: len(split) for name, split in splits.items()}
    assert sizes == {"train": 20, "validation": 20, "test": 10} and tested_on is None


def test_one_of_two_columns_of_images_is_chosen(tmp_path):
    pictures = {
        name: [PILImage.new("RGB", (16, 16), color)] * 20 for name, color in (("front", "red"), ("back", "blue"))
    }
    features = Features({"front": Image(), "back": Image(), "label": ClassLabel(names=["a", "b"])})
    Dataset.from_dict(pictures | {"label": [0, 1] * 10}, features=features).to_parquet(str(tmp_path / "train.parquet"))
    with pytest.raises(ValueError, match=r"2 columns of Image: .*Choose with --image_column"):
        load_images(str(tmp_path), make_processor(16))
    splits, *_ = load_images(str(tmp_path), make_processor(16), image_column="back")
    assert np.frombuffer(splits["train"][0]["pixels"], np.uint8)[:3].tolist() == [0, 0, 255]


def test_the_format_of_the_files_is_told(tmp_path):
    for name, options, expected in (("a.png", {}, "PNG"), ("b.jpg", {"quality": 75}, "JPEG (quality 75)")):
        pictures = []
        for number in range(20):
            PILImage.new("RGB", (16, 16), (9 * number, 0, 0)).save(tmp_path / name, **options)
            pictures.append({"bytes": (tmp_path / name).read_bytes(), "path": None})
        folder = save(tmp_path / name.split(".")[0], [0, 1] * 10, ClassLabel(names=["a", "b"]), pictures)
        assert load_images(folder, make_processor(16)).image_format == expected


def test_a_class_of_one_image_trains(tmp_path):
    folder = save(tmp_path, [0, 1] * 10 + [2], ClassLabel(names=["a", "b", "c"]))
    splits, *_ = load_images(folder, make_processor(16), train_fraction=0.3)
    assert np.bincount(splits["train"]["label"]).tolist() == [3, 3, 1]


def test_a_label_outside_the_classes_names_its_row(tmp_path):
    feature = ClassLabel(names=["a", "b"])
    train = Dataset.from_dict({"label": [0, 1]}).cast_column("label", feature)
    test = Dataset.from_dict({"label": [0, 1, -1]}, features=Features({"label": feature}))
    with pytest.raises(ValueError, match=r"row 2 of test: label is -1, .* 0 to 1"):
        encode_labels(DatasetDict(train=train, test=test), "label")
    strings = DatasetDict(
        train=Dataset.from_dict({"label": ["x"], "n": [0]}), test=Dataset.from_dict({"label": ["x", "y"], "n": [0, 1]})
    )
    with pytest.raises(ValueError, match="row 1 of test: label is 'y'"):
        encode_labels(strings, "label")
    empty = DatasetDict(train=Dataset.from_dict({"label": ["x", None]}))
    with pytest.raises(ValueError, match="row 1 of train: label is empty"):
        encode_labels(empty, "label")


@pytest.mark.parametrize(("cell", "reason"), [(None, "missing"), ({"bytes": b"\x89PNG no", "path": None}, "identify")])
def test_a_broken_image_names_its_row(cell, reason):
    with pytest.raises(ValueError, match=f"row 41 of train: cannot read the image.*{reason}"):
        decode_batch(
            {"img": [cell], "label": [0]},
            [41],
            split_name="train",
            image_column="img",
            label_column="label",
            size=(16, 16),
        )
