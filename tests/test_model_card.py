import shutil
from fnmatch import fnmatch

import pytest
from datasets import Dataset
from PIL import Image

from hf_recipes import run
from hf_recipes.loading import hub_revision
from hf_recipes.model_card import Report, Section, format_cell, markdown_table, save_figures
from hf_recipes.training import NOT_PUBLISHED


def test_the_revision_of_a_data_set_is_that_of_its_cache(tmp_path):
    commit = "0123456789abcdef0123456789abcdef01234567"
    folder = tmp_path / "someone___things/default/0.0.0" / commit
    rows = Dataset.from_dict({"x": [1, 2]})
    rows.map(lambda row: row, cache_file_name=str(folder.mkdir(parents=True) or folder / "cache-1.arrow"))
    assert hub_revision(Dataset.from_file(str(folder / "cache-1.arrow"))) == commit
    assert hub_revision(rows) is None and hub_revision([1, 2]) is None


def test_tables_and_their_cells():
    assert markdown_table([{"name": "a", "n": 1200}, {"name": None, "n": 0.123456}]) == (
        "| name | n |\n| --- | ---: |\n| a | 1,200 |\n|  | 0.1235 |"
    )
    assert markdown_table([]) == "" and format_cell(123456.7) == "123,457"
    assert format_cell(198_572) == "198,572" and format_cell(45_586_022_400) == "45.59 billion"


OF_DATA = {"the_eight_worst_images.png", "picture.png", "example.png"}


def pictures(folder) -> set[str]:
    return {path.name for path in folder.glob("*.png")}


def test_images_of_the_data_stay_with_the_run_where_they_may_not_be_shown(run_tiny, finished_run, tmp_path):
    run_tiny(tmp_path / "run", card_images=False, num_train_epochs=1)
    shown, hidden = ((folder / "README.md").read_text() for folder in (finished_run, tmp_path / "run"))
    all_shown, all_hidden = pictures(finished_run), pictures(tmp_path / "run")
    assert all_shown >= OF_DATA and all_hidden == (all_shown - OF_DATA) | {f"_{name}" for name in OF_DATA}
    assert all(f"({name})" in shown or name == "example.png" for name in OF_DATA)
    assert (
        not any(name in hidden for name in OF_DATA) and "*The figure shows the data and stays with the run.*" in hidden
    )
    assert 'image = "image.png"  # one of your own' in hidden and "hf_hub_download" not in hidden
    left_out = [name for name in all_hidden if any(fnmatch(name, pattern) for pattern in NOT_PUBLISHED)]
    assert set(left_out) == {f"_{name}" for name in OF_DATA}


def test_images_of_a_run_that_was_killed_are_hidden_too(tmp_path):
    picture = Image.new("RGB", (4, 4))
    report = Report(
        [Section("Worst", figure=picture, shows_data=True), Section("Losses", figure=picture)], picture=picture
    )
    report.images["example.png"] = picture
    save_figures(report, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"worst.png", "losses.png", "picture.png", "example.png"}
    save_figures(report, tmp_path, show_images=False)
    assert {path.name for path in tmp_path.iterdir()} == {"_worst.png", "losses.png", "_picture.png", "_example.png"}


def test_a_card_whose_rewriting_was_cut_off_is_written_by_the_next_start(run_tiny, finished_run, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    shutil.copytree(finished_run, folder)
    for name in ("rewrite_card", "test"):  # after the run, and while it is tested again
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(run, name, interrupt)
            run_tiny(folder, dataset_license=f"cut off in {name}", test_again=name == "test")
        run_tiny(folder, dataset_license=f"cut off in {name}")
        assert f"Licence of the data: cut off in {name}." in (folder / "README.md").read_text()


def interrupt(*args, **kwargs):
    raise KeyboardInterrupt


def test_what_a_card_says_of_the_data_may_change_after_the_run(run_tiny, finished_run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished_run, folder)
    card, weights = (folder / "README.md").read_text(), (folder / "model.safetensors").stat().st_mtime_ns
    run_tiny(folder, card_images=False, dataset_license="CC BY 4.0", dataset_name="Our cells")
    changed = (folder / "README.md").read_text()
    assert "Licence of the data: CC BY 4.0." in changed and "dataset_name: Our cells" in changed
    assert not any(name in changed for name in OF_DATA) and not OF_DATA & pictures(folder)
    assert {f"_{name}" for name in OF_DATA} <= pictures(folder)
    run_tiny(folder)
    assert (folder / "README.md").read_text() == card and pictures(folder) == pictures(finished_run)
    assert (folder / "model.safetensors").stat().st_mtime_ns == weights
    (folder / "_card.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"edit its README\.md, and leave the options out"):
        run_tiny(folder, dataset_license="CC BY 4.0")
