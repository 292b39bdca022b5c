"""Push to a Hub on loopback, and use what was pushed where `hf_recipes` cannot be imported."""

import json
import re
from functools import partial

import numpy as np
import pytest
from conftest import ROOT, TINY, hub_env, options, run_python
from hub import card_errors, running_hub
from PIL import Image

CLEAN = "import sys; sys.modules['hf_recipes'] = None\n"  # importing it fails


@pytest.fixture(scope="module")
def pushed(tmp_path_factory, finished_run, pairs):
    """A Hub with a finished run pushed to it: (endpoint, folder of the Hub, scratch folder)."""
    scratch = tmp_path_factory.mktemp("hub")
    with running_hub(scratch / "hub") as endpoint:
        values = TINY | {"dataset": pairs, "output_dir": finished_run, "hub_model_id": "local/cells"}
        words = [*options(**values), "--push_to_hub"]
        run_python(ROOT / "recipes/cell_counting.py", *words, env=hub_env(endpoint, scratch / "home"))
        yield endpoint, scratch / "hub/local/cells", scratch


@pytest.fixture
def push(push_run, finished_run):
    return partial(push_run, "cell_counting", finished_run, "local/cells")


def test_what_is_pushed(pushed, finished_run):
    _, repository, _ = pushed
    names = {path.name for path in repository.iterdir()}
    assert {"README.md", "config.json", "model.safetensors", "recipe.yaml", "all_results.json", "example.png",
            "configuration_cell_counter.py", "modeling_cell_counter.py", "image_processing_cell_counter.py",
            "pipeline_cell_counting.py", "the_eight_worst_images.png"} <= names  # fmt: skip
    assert not {"training_args.bin", "settings.json", "checkpoint-12"} & names
    assert (repository / "model.safetensors").read_bytes() == (finished_run / "model.safetensors").read_bytes()


def test_a_clean_process_gets_the_same_numbers(pushed, finished_run):
    from hf_recipes import CellCounter, CellCounterImageProcessor

    endpoint, _, scratch = pushed
    image = Image.open(finished_run / "example.png")
    model = CellCounter.from_pretrained(finished_run)
    inputs = CellCounterImageProcessor.from_pretrained(finished_run)(image)
    expected = model(**inputs).counts.item()
    script = f"""{CLEAN}
import json
from PIL import Image
from transformers import AutoImageProcessor, AutoModel, pipeline
model = AutoModel.from_pretrained("local/cells", trust_remote_code=True)
processor = AutoImageProcessor.from_pretrained("local/cells", trust_remote_code=True)
image = Image.open({str(finished_run / "example.png")!r})
named = pipeline("cell-counting", model="local/cells", trust_remote_code=True)
inferred = pipeline(model="local/cells", trust_remote_code=True)
print(json.dumps([model(**processor(image)).counts.item(), named(image)["count"], inferred(image)["count"],
                  type(model).__module__]))
"""
    done = run_python("-c", script, env=hub_env(endpoint, scratch / "home"), cwd=scratch)
    *counts, module = json.loads(done.stdout.splitlines()[-1])
    assert "transformers_modules" in module
    assert counts == pytest.approx([expected] * 3, abs=1e-5)


def test_the_snippet_of_the_card_runs(pushed):
    endpoint, repository, scratch = pushed
    snippet = re.search(r"```python\n(.*?)```", (repository / "README.md").read_text(), re.S)[1]
    done = run_python("-c", CLEAN + snippet, env=hub_env(endpoint, scratch / "home"), cwd=scratch)
    assert re.search(r"\{'count': [\d.]+\}", done.stdout)


def test_pushing_survives_a_busy_hub_and_a_cut_connection(tmp_path, push, caplog):
    faults = ["PUT:503:1", "/commit/:503:1", "objects/batch:cut:1", "repos/create:503:1", "preupload:cut:1"]
    with running_hub(tmp_path / "hub", faults) as endpoint:
        push(endpoint)
    assert (tmp_path / "hub/local/cells/model.safetensors").exists()
    assert "making the repository local/cells failed (503); trying again" in caplog.text


def test_a_repository_that_is_there_is_pushed_to_again(pushed, push, finished_run):
    endpoint, repository, _ = pushed
    (repository / "model.safetensors").write_bytes(b"older")
    push(endpoint)
    assert (repository / "model.safetensors").read_bytes() == (finished_run / "model.safetensors").read_bytes()


def test_a_hub_that_is_away_is_one_line(push):
    with pytest.raises(RuntimeError, match=r"^making the repository local/cells failed: the Hub cannot be reached.*$"):
        push("http://127.0.0.1:9")  # nobody listens there


def test_a_refused_push_is_one_line_and_the_next_succeeds(tmp_path, push, finished_run):
    before = {path.name: path.read_bytes() for path in finished_run.iterdir() if path.is_file()}
    with running_hub(tmp_path / "hub") as endpoint:
        for token, reason in (("hf_wrong", "hf auth login"), ("hf_readonly", "rights to write")):
            with pytest.raises(RuntimeError, match=f"^.*{reason}.*$"):
                push(endpoint, token)
        assert {path.name: path.read_bytes() for path in finished_run.iterdir() if path.is_file()} == before
        push(endpoint)
    assert (tmp_path / "hub/local/cells/model.safetensors").exists()


def test_the_hub_of_the_tests_checks_cards(finished_run):
    card = (finished_run / "README.md").read_text()
    assert card_errors(card) == []
    assert card_errors("# no metadata") and card_errors(card.replace("license:", "licence:"))
    assert card_errors(re.sub(r"value: [\d.]+", "value: good", card))


def test_the_card_says_what_was_measured(finished_run):
    card, results = (
        (finished_run / "README.md").read_text(),
        json.loads((finished_run / "all_results.json").read_text()),
    )
    assert f"{results['test_mae']:.4g}" in card and "training mean" in card and "(saved)" in card
    assert "threshold and components" in card and "learning_rate: 0.003" in card
    for figure in re.findall(r"\]\(([\w.]+\.png)\)", card):
        assert np.asarray(Image.open(finished_run / figure)).std() > 1, figure
    assert (
        "More information needed" not in card and "None" not in card and "nan" not in card.lower().split("## data")[0]
    )
