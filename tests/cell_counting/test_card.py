from types import SimpleNamespace

import pytest
from conftest import ROOT
from huggingface_hub import ModelCard

from hf_recipes.cell_counting.card import make_card
from hf_recipes.model_card import slug


def card(dataset, **values):
    given = {
        "test_size": None,
        "test_names": None,
        "dataset_name": None,
        "dataset_url": None,
        "dataset_license": None,
        "model_license": "apache-2.0",
        "card_images": True,
        "architecture": "unet",
    } | values
    return make_card(SimpleNamespace(dataset=dataset, **given))


@pytest.mark.parametrize("dataset", ["local/vgg-cells", "data/vgg-cells/", "vgg-cells"])
def test_known_data_have_their_public_name_wherever_they_lie(dataset):
    info = card(dataset)
    assert info.dataset_name == "VGG synthetic cells" and "robots.ox.ac.uk" in info.dataset_url
    assert info.dataset_id is None and "local" not in info.title


def test_other_data_have_their_own(tmp_path):
    hub, folder, named = card("someone/blood"), card(str(tmp_path / "mine")), card("x", dataset_name="Blood")
    assert (hub.dataset_name, hub.dataset_id, hub.dataset_url) == ("blood", "someone/blood", "its page on the Hub")
    assert (folder.dataset_name, folder.dataset_url) == ("mine", "private")
    assert named.dataset_name == "Blood" and card("x", dataset_license="cc-by-4.0").dataset_license == "cc-by-4.0"
    assert card("local/things").dataset_id is None


@pytest.mark.parametrize(
    "file", sorted((ROOT / "model_cards/cell_counting").glob("*/README.md")), ids=lambda f: f.parent.name
)
def test_the_committed_cards_are_what_the_code_writes(file):
    data = ModelCard.load(file).data
    name = "MBM" if "mbm" in file.parent.name else "VGG"
    info = card(f"data/{name.lower()}-cells")
    assert data.metrics == list(info.metrics) and name in info.dataset_name
    for result in data.eval_results:
        assert (result.dataset_type, info.metrics[result.metric_type]) == (slug(info.dataset_name), result.metric_name)


def test_a_test_that_is_not_the_data_sets_own_is_said():
    assert card("local/vgg-cells").tested_on is None
    assert (
        card("local/vgg-cells", test_size=20).tested_on == "20 images drawn by the seed from all of VGG synthetic cells"
    )
    assert "match `_0003_`" in card("local/mbm-cells", test_names="_0003_").tested_on
