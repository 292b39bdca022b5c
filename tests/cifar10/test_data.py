import numpy as np
import pytest
import torch
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, Value
from PIL import Image as PILImage

from hf_recipes.cifar10.data import ImageCollator, decode_batch, load_images, make_processor, measure_normalization


def save(folder, labels, feature, images=None, column="img", label_column="label", splits=("train", "test")):
    """A data set on disk that `load_dataset` reads."""
    images = images or [PILImage.fromarray(np.full((16, 16, 3), 10 * n % 250, np.uint8)) for n in range(len(labels))]
    features = Features({column: Image(), label_column: feature})
    rows = Dataset.from_dict({column: images, label_column: labels}, features=features)
    for split in splits:
        rows.to_parquet(folder / f"{split}.parquet")
    return str(folder)


def test_a_folder_of_classes_becomes_three_splits_of_raw_pixels(shapes):
    processor = make_processor(16)
    splits, names, image_format = load_images(str(shapes), processor, validation_size=9)
    assert names == ["circle", "cross", "stripes"] and image_format == "PNG"
    assert {name: len(split) for name, split in splits.items()} == {"train": 51, "validation": 9, "test": 24}
    assert np.bincount(splits["validation"]["label"]).tolist() == [3, 3, 3]
    first = np.frombuffer(splits["test"][0]["pixels"], np.uint8).reshape(16, 16, 3)
    assert np.array_equal(first, np.asarray(PILImage.open(shapes / "test" / "circle" / "00.png")))
    pixels = [set(splits[name]["pixels"]) for name in ("train", "validation")]
    assert not pixels[0] & pixels[1]
    again = load_images(str(shapes), processor, validation_size=9)[0]
    other = load_images(str(shapes), processor, validation_size=9, seed=4)[0]
    assert again["train"]["pixels"] == splits["train"]["pixels"] != other["train"]["pixels"]


def test_a_share_of_every_class_trains_and_the_validation_stays(shapes):
    whole = load_images(str(shapes), make_processor(16), validation_size=9)[0]
    part = load_images(str(shapes), make_processor(16), validation_size=9, train_fraction=0.2)[0]
    assert np.bincount(part["train"]["label"]).tolist() in ([3, 3, 4], [3, 4, 3], [4, 3, 3])
    assert part["validation"]["pixels"] == whole["validation"]["pixels"]


def test_batches_are_what_the_processor_makes_of_the_images(shapes):
    processor = make_processor(16)
    splits, *_ = load_images(str(shapes), processor, validation_size=9)
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


@pytest.mark.parametrize("mode", ["L", "RGBA", "P"])
def test_gray_and_large_images_are_converted_and_resized(mode, tmp_path):
    images = [PILImage.fromarray(np.full((40, 60), 20 * n, np.uint8)).convert(mode) for n in range(8)]
    folder = save(tmp_path, [0, 1] * 4, ClassLabel(names=["a", "b"]), images)
    splits, *_ = load_images(folder, make_processor(16), validation_size=2)
    pixels = np.frombuffer(splits["test"][3]["pixels"], np.uint8)
    assert pixels.size == 16 * 16 * 3 and (pixels == 60).all()


@pytest.mark.parametrize("labels", [["dog", "cat"] * 4, [7, 3] * 4])
def test_any_values_are_classes(labels, tmp_path):
    feature = Value("string" if isinstance(labels[0], str) else "int64")
    folder = save(tmp_path, labels, feature, label_column="animal")
    with pytest.raises(ValueError, match=r"0 columns of ClassLabel.*animal.*--label_column"):
        load_images(folder, make_processor(16), validation_size=2)
    splits, names, _ = load_images(folder, make_processor(16), label_column="animal", validation_size=2)
    assert names == sorted(map(str, set(labels)))
    assert [names[label] for label in splits["test"]["label"]] == list(map(str, labels))


def test_what_is_wrong_with_a_data_set_is_named(tmp_path, shapes):
    processor = make_processor(16)
    folder = save(tmp_path, [0, 1] * 4, ClassLabel(names=["a", "b"]))
    with pytest.raises(ValueError, match=r"no column 'image'; it has img, label"):
        load_images(folder, processor, image_column="image", validation_size=2)
    with pytest.raises(ValueError, match=r"--validation_size is 1; .* 2 to 6"):
        load_images(folder, processor, validation_size=1)
    with pytest.raises(ValueError, match="--train_fraction"):
        load_images(folder, processor, validation_size=2, train_fraction=0.0)
    with pytest.raises(FileNotFoundError, match="no/where"):
        load_images("no/where", processor)
    (tmp_path / "test.parquet").unlink()
    with pytest.raises(ValueError, match="'train' and 'test' are needed"):
        load_images(folder, processor)


def test_a_label_outside_the_classes_names_its_row(tmp_path):
    from hf_recipes.cifar10.data import encode_labels

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
