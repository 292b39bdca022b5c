"""What several tests share: small simulated data, the recipe as a module, and one finished run."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("HF_HUB_DISABLE_XET", "1")  # before anything imports huggingface_hub
# tests that run side by side share the processor
os.environ.setdefault("OMP_NUM_THREADS", "1" if "PYTEST_XDIST_WORKER" in os.environ else "2")

import numpy as np
import pytest
from PIL import Image

pytest_plugins = ["letters", "shapes"]
ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

TINY = {
    "num_channels": 1,
    "widths": [8, 8],
    "validation_size": 3,
    "test_size": 5,
    "per_device_train_batch_size": 2,
    "per_device_eval_batch_size": 2,
    "num_train_epochs": 3,
    "learning_rate": 0.003,
    "weight_average": 0.9,
    "precision": "fp32",
    "seed": 3,
}


def pytest_collection_modifyitems(items):
    if "HF_ENDPOINT" not in os.environ:
        for item in items:
            if "hub" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="needs HF_ENDPOINT, a Hub with the data sets"))


def load_recipe(name: str):
    """The module of a recipe, one for all tests: pytest has this file as another module than those that import it."""
    spec = importlib.util.spec_from_file_location(f"recipe_{name}", ROOT / "recipes" / f"{name}.py")
    if spec.name not in sys.modules:
        module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[spec.name]


def write_pairs(folder: Path, number: int, size: int = 48) -> Path:
    """A folder of `001cell.png` and `001dots.png`."""
    from hf_recipes.cell_counting.synthetic import simulate_cells

    folder.mkdir(parents=True, exist_ok=True)
    for index, cells in enumerate(simulate_cells(number, seed=11, size=size)):
        dots = np.zeros((size, size), np.uint8)
        for x, y in cells["points"]:
            dots[int(y), int(x)] = 255
        Image.fromarray(cells["image"]).save(folder / f"{index:03d}cell.png")
        Image.fromarray(dots).save(folder / f"{index:03d}dots.png")
    return folder


def options(**values) -> list[str]:
    """Options of the command line."""
    words = []
    for key, value in values.items():
        if value is not None:
            words += [f"--{key}", *map(str, value if isinstance(value, list) else [value])]
    return words


def run_python(
    *words, env: dict | None = None, check: bool = True, timeout: float = 300, **kwargs
) -> subprocess.CompletedProcess:
    """A Python process of its own, with the output captured."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests"), **(env or {})}
    done = subprocess.run(
        [sys.executable, *map(str, words)], env=environment, capture_output=True, text=True, timeout=timeout, **kwargs
    )
    assert not check or done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done


def make_parser(module):
    """The parser of a recipe's own arguments and the training's."""
    from hf_recipes.arguments import DatasetArguments, RecipeParser, RecipeTrainingArguments

    classes = [each for each in vars(module).values() if isinstance(each, type)]
    (own,) = (each for each in classes if DatasetArguments in each.__bases__)
    (args,) = (each for each in classes if issubclass(each, RecipeTrainingArguments))
    return RecipeParser((own, args))


def run_recipe(module, **values):
    """The recipe's `main` in this process, as if the values stood on the command line."""
    return module.main(*make_parser(module).parse(options(**values)))


def run_tiny_recipe(task: str, tiny: dict, folder: Path, **changes):
    """A recipe's run in this process, with the tiny options of its tests, of which some may be changed."""
    return run_recipe(load_recipe(task), **tiny | {"output_dir": folder} | changes)


@pytest.fixture
def no_report(monkeypatch):
    """`no_report(task)` leaves the analysis out of the task's runs, which takes longer than their training."""
    from hf_recipes.model_card import Report

    return lambda task: monkeypatch.setattr(load_recipe(task), "analyse", lambda *args, **kwargs: Report())


@pytest.fixture
def made_trainers(monkeypatch):
    """`made_trainers(task)` is a list in which the task's recipe puts the trainers that it makes, and goes no further."""

    def catch(task: str) -> list:
        trainers = []
        monkeypatch.setattr(load_recipe(task), "run", lambda trainer, *args, **kwargs: trainers.append(trainer) or {})
        return trainers

    return catch


def go_back(whole: Path, part: Path, step: int) -> None:
    """A copy of a finished run as it was when it was killed after a checkpoint: without what came later."""
    shutil.copytree(whole, part)
    for name in ("all_results.json", "model.safetensors"):
        (part / name).unlink()
    later = [folder for folder in part.glob("checkpoint-*") if int(folder.name.split("-")[1]) > step]
    assert later and (part / f"checkpoint-{step}").is_dir()
    for folder in later:
        shutil.rmtree(folder)


def hub_env(endpoint: str, home: Path) -> dict[str, str]:
    """The environment of a process that uses a Hub on loopback, with a cache of its own."""
    return {"HF_ENDPOINT": endpoint, "HF_TOKEN": "hf_local", "HF_HUB_OFFLINE": "0", "HF_HOME": str(home)}


@pytest.fixture
def push_run(monkeypatch):
    """`push_run(task, run, model_id, endpoint, token)` publishes a finished run from this process, which waits for nobody."""
    import transformers
    from huggingface_hub import constants

    from hf_recipes import publishing
    from hf_recipes.checkpoints import read_json

    monkeypatch.setattr(publishing.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)

    def call(task: str, run: Path, model_id: str, endpoint: str, token: str = "hf_local", **more):
        monkeypatch.setattr(constants, "ENDPOINT", endpoint)
        monkeypatch.setattr(transformers.utils.hub, "_hf_api", None)  # it keeps the endpoint that it was made with
        monkeypatch.setenv("HF_TOKEN", token)
        values = read_json(run / "settings.json")["options"] | {"output_dir": run, "save_strategy": "no"}
        run_recipe(load_recipe(task), **values, push_to_hub=True, hub_model_id=model_id, **more)

    return call


@pytest.fixture(scope="session")
def cell_recipe():
    return load_recipe("cell_counting")


@pytest.fixture(scope="session")
def pairs(tmp_path_factory) -> Path:
    return write_pairs(tmp_path_factory.mktemp("pairs"), 16)


@pytest.fixture(scope="session")
def run_tiny(cell_recipe, pairs):
    """`run_tiny(folder, **options)` runs the cell-counting recipe on the pairs in this process."""

    def call(folder: Path, **changes):
        values = TINY | {"dataset": pairs, "output_dir": folder} | changes
        return run_recipe(cell_recipe, **values)

    return call


@pytest.fixture(scope="session")
def finished_run(run_tiny, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("finished") / "unet"
    run_tiny(folder)
    return folder
