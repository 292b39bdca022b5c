"""The README and the study's page say what the committed results say."""

import re

import pytest
from conftest import ROOT

from hf_recipes import study_page
from hf_recipes.processes import run_file
from hf_recipes.study import load_study
from hf_recipes.study_page import write_page

README = (ROOT / "README.md").read_text()
TASKS = sorted(path.name for path in (ROOT / "model_cards/results").glob("*"))


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


@pytest.mark.parametrize("task", TASKS)
def test_the_page_is_made_of_the_results(task, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(study_page, "save_figure", lambda figure, file: None)  # they are drawn, which is enough
    committed = (ROOT / f"model_cards/{task}.md").read_text()
    studies = [load_study(path.relative_to(ROOT)) for path in sorted((ROOT / f"recipes/{task}").glob("study_*.yaml"))]
    assert write_page(studies, tmp_path).read_text() == committed
    for figure in re.findall(r"\]\(([\w/.]+\.png)\)", committed):
        assert (ROOT / "model_cards" / figure).exists(), figure


@pytest.mark.parametrize("task", TASKS)
def test_the_readme_repeats_the_page(task):
    table = re.search(rf"<!-- results of {task}.*?-->\n(.*?)<!-- end -->", README, re.S)[1].splitlines()
    header, rows = cells(table[0]), [cells(line) for line in table[2:]]
    page, names = [], []
    for line in (ROOT / f"model_cards/{task}.md").read_text().splitlines():
        if line.startswith("| variant"):
            names = cells(line)
        elif line.startswith("| ") and names:
            page.append(dict(zip(names, cells(line))))
        elif not line.startswith("| "):
            names = []
    assert rows and header[:2] == ["data", "variant"]
    for row in rows:
        told = dict(zip(header[1:], row[1:]))
        assert any(told.items() <= each.items() for each in page), told


def test_files_and_pictures_of_the_readme_exist():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
    for config in re.findall(r"recipes/\S+\.(?:py|yaml)", README):
        assert (ROOT / config).exists(), config


def test_the_python_of_the_readme_runs(finished_run, tmp_path):
    snippet = re.search(r"```python\n(.*?)```", README, re.S)[1].replace("outputs/quickstart", str(finished_run))
    script = snippet.replace('counter("', 'print(counter("', 1).replace("return_overlay=True)", "return_overlay=True))")
    (tmp_path / "readme.py").write_text(script)
    assert run_file(tmp_path / "readme.py", [], tmp_path / "log.txt") == 0
    assert "'count'" in (tmp_path / "log.txt").read_text()


def test_nothing_private_is_named():
    """No path of a machine, no id that only a local Hub has, no registry's host."""
    private = re.compile(r"127\.0\.0\.1:8980|/work/|/root/|\blocal/(vgg|mbm)|pypi\.org|\.\./shared")
    for path in ROOT.rglob("*"):
        if path.suffix in (".py", ".md", ".yaml", ".cfg", ".toml") and not {".venv", "outputs", "tests"} & set(
            path.parts
        ):
            assert not private.search(path.read_text()), path
