from types import SimpleNamespace

import pytest

from hf_recipes.cell_counting.card import make_card


def card(dataset, **values):
    given = {"dataset_name": None, "dataset_url": None, "dataset_license": None, "architecture": "unet"} | values
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
