"""The shape of the package: lazy names, files that travel to the Hub, one home for each fact."""

import ast
import subprocess
import sys

import pytest
from conftest import ROOT

import hf_recipes

PREFIXES = ("configuration_", "modeling_", "image_processing_", "pipeline_", "tokenization_")
TRAVELLING = [path for path in (ROOT / "hf_recipes").rglob("*.py") if path.name.startswith(PREFIXES)]


def test_importing_the_package_is_cheap():
    code = (
        "import sys, time; start = time.perf_counter(); import hf_recipes; "
        "print(time.perf_counter() - start, 'torch' in sys.modules, 'transformers' in sys.modules)"
    )
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.split() for _ in range(3)
    ]
    assert min(float(seconds) for seconds, *_ in runs) < 0.05
    assert all(loaded == ["False", "False"] for _, *loaded in runs)


def test_the_model_costs_no_more_than_transformers_own():
    code = "import sys; from hf_recipes import CellCounter; print([m for m in {} if m in sys.modules])"
    heavy = ["datasets", "sklearn", "skimage", "matplotlib", "evaluate", "transformers.trainer"]
    done = subprocess.run([sys.executable, "-c", code.format(heavy)], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


@pytest.mark.parametrize("name", hf_recipes.PUBLIC)
def test_public_names_exist(name):
    assert getattr(hf_recipes, name).__name__ == name and name in dir(hf_recipes)


def test_the_version_is_that_of_the_package():
    assert hf_recipes.__version__.count(".") == 2


def test_an_unknown_name_is_explained():
    with pytest.raises(AttributeError, match="CellCounter"):
        hf_recipes.Nothing  # noqa: B018


@pytest.mark.parametrize("path", TRAVELLING, ids=lambda path: path.name)
def test_travelling_files_import_each_other_and_public_packages_only(path):
    siblings = {other.stem for other in TRAVELLING if other.parent == path.parent}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            assert node.level == 1 and node.module in siblings, f"{path}: from {'.' * node.level}{node.module}"
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
        assert not any(name.split(".")[0] == "hf_recipes" for name in names)


def test_no_task_imports_another():
    """But that rag reads with the pipeline of question answering."""
    allowed = ("rag/readers.py", "question_answering.pipeline_question_answering")
    tasks = {path.parent.name for path in (ROOT / "hf_recipes").glob("*/__init__.py")} - {"cli"}
    for path in (ROOT / "hf_recipes").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level:
                if (f"{path.parent.name}/{path.name}", node.module) == allowed:
                    continue
                first = (node.module or "").split(".")[0]
                core = path.parent == ROOT / "hf_recipes" and path.name != "__init__.py"
                if core or (path.parent.name in tasks and node.level == 2):
                    assert first not in tasks, f"{path} imports the task {first}"
