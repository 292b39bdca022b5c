import numpy as np
import pytest
import torch

from hf_recipes.transfer_learning.backbones import load_backbone, make_processor
from hf_recipes.transfer_learning.data import load_images
from hf_recipes.transfer_learning.features import baseline_probabilities, compute_split_features, doubtful_labels
from hf_recipes.transfer_learning.inputs import as_seen


@pytest.fixture(scope="module")
def images(shapes):
    return {seed: load_images(str(shapes), redraw=True, duplicate_distance=-1, seed=seed) for seed in (0, 1)}


@pytest.fixture(scope="module")
def network(backbone, images):
    model = load_backbone(str(backbone), images[0].names).eval()
    return model, make_processor(model)


def test_features_are_those_of_their_images(images, network):
    model, processor = network
    for name, split in compute_split_features(images[0], model, processor).items():
        seen, rows = as_seen(images[0].splits[name], processor), [0, len(split) // 2, len(split) - 1]
        with torch.no_grad():
            expected = model(torch.stack([seen[row]["pixel_values"] for row in rows])).logits
            found = model.timm_model.get_classifier()(torch.tensor([split[row]["features"] for row in rows]))
        assert found.allclose(expected, atol=1e-4), name
        for column in ("label", "index", "split"):
            assert split[column][:] == images[0].splits[name][column][:]


def test_all_draws_share_one_pass(images, network, monkeypatch):
    from hf_recipes.transfer_learning import features

    compute_split_features(images[0], *network)

    def again(rows, **kwargs):
        raise AssertionError("a second pass")

    monkeypatch.setattr(features, "compute_features", again)
    other = compute_split_features(images[1], *network)
    assert len(other["train"]) == len(images[1].splits["train"])


def test_logistic_regression_and_doubts_of_known_features():
    from datasets import Dataset

    generator = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 20)
    features = (np.eye(3, 5)[labels] + 0.1 * generator.normal(size=(60, 5))).astype(np.float32)
    wrong = labels.copy()
    wrong[[3, 47]] = [2, 0]
    train = Dataset.from_dict({"features": features.tolist(), "label": wrong.tolist()})
    test = Dataset.from_dict({"features": (np.eye(3, 5)[labels]).tolist(), "label": labels.tolist()})
    found = baseline_probabilities(train, test, 4)
    assert all(each.shape == (60, 4) and np.allclose(each.sum(1), 1) for each in found.values())
    assert (found["logistic regression"].argmax(1) == labels).all() and not found["logistic regression"][:, 3].any()
    first, second = doubtful_labels(train, most=2)
    assert {first[:2], second[:2]} == {(3, 0), (47, 2)} and max(first[2], second[2]) < 0.4
