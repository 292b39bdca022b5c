"""The last step of `make quickstart`."""

import pytest
from conftest import load_recipe

from hf_recipes import CellCounter, CellCounterImageProcessor, CellCountingPipeline
from hf_recipes.cell_counting.synthetic import simulate_cells


def test_the_count_is_shown_and_checked(finished_run, monkeypatch, capsys):
    quickstart = load_recipe("quickstart")
    cells = simulate_cells(1, seed=5, size=256)[0]  # many cells: counts are whole here
    processor = CellCounterImageProcessor.from_pretrained(finished_run)
    counter = CellCountingPipeline(model=CellCounter.from_pretrained(finished_run), image_processor=processor)
    count = round(counter(cells["image"])["count"])
    for truth, fails in ((count, False), (2 * count, True)):
        cells["points"] = [(0, 0)] * truth
        monkeypatch.setattr(quickstart, "simulate_cells", lambda *args, **kwargs: [cells])
        if fails:
            with pytest.raises(SystemExit, match="more than 5 %"):
                quickstart.main(finished_run)
        else:
            quickstart.main(finished_run)
            said = capsys.readouterr().out
            assert f"holds {truth} cells" in said and "bin/activate" in said and (finished_run / "counted.png").exists()
