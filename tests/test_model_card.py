from datasets import Dataset

from hf_recipes.loading import hub_revision
from hf_recipes.model_card import format_cell, markdown_table


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
