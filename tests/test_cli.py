import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, run_python
from PIL import Image

from hf_recipes import cli
from hf_recipes.cli.count import overlay_files


def test_counting_files_folders_and_patterns(finished_run, tmp_path, capsys):
    images = tmp_path / "images"
    images.mkdir()
    for name in ("a.png", "b.png"):
        shutil.copy(finished_run / "example.png", images / name)
    assert cli.main(["count", str(images), "--model", str(finished_run), "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["image"] for row in rows] == [str(images / "a.png"), str(images / "b.png")]
    assert rows[0]["count"] == rows[1]["count"] > 0
    overlay = tmp_path / "over.png"
    assert cli.main(["count", str(images / "*.png"), "--model", str(finished_run), "--overlay", str(overlay)]) == 0
    assert Image.open(tmp_path / "over-a.png").size == Image.open(images / "a.png").size
    assert f"{rows[0]['count']:.1f}" in capsys.readouterr().out


def test_what_stands_after_two_hyphens_is_an_input(finished_run, tmp_path, capsys):
    image = str(finished_run / "example.png")
    assert cli.main(["count", "--model", str(finished_run), "--json", "--", image]) == 0
    assert json.loads(capsys.readouterr().out)["image"] == image


def test_images_of_the_same_name_get_an_overlay_each():
    images = ["x/a.png", "y/a.png", "z/a-2.png", "a.tif"]
    files = overlay_files(Path("o/over.png"), images)
    assert [files[image].name for image in images] == ["over-a.png", "over-a-2.png", "over-a-2-2.png", "over-a-3.png"]
    assert overlay_files(Path("over.jpg"), ["x/a.png"]) == {"x/a.png": Path("over.jpg")}
    with pytest.raises(ValueError, match=r"--overlay x/\.\./a\.png is the image itself"):
        overlay_files(Path("x/../a.png"), ["a.png"])
    assert overlay_files(Path("o.png"), ["a.png", "o-a.png"])["a.png"].name == "o-a-2.png"  # and no image is lost


def test_failures_are_one_line_and_a_status(finished_run, tmp_path, capsys):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"nothing")
    good = str(finished_run / "example.png")
    assert cli.main(["count", str(broken), good, "--model", str(finished_run)]) == 1
    captured = capsys.readouterr()
    assert captured.err.count("error:") == 1 and "broken.png" in captured.err and "example.png" in captured.out
    assert cli.main(["count", str(tmp_path / "none.png"), "--model", str(finished_run)]) == 1
    assert "no such image" in capsys.readouterr().err
    (tmp_path / "other").mkdir()
    (tmp_path / "other/config.json").write_text('{"model_type": "cifar_classifier", "architecture": "fast_cnn"}')
    assert cli.main(["count", good, "--model", str(tmp_path / "other")]) == 1
    assert "architecture is 'fast_cnn'; it can be one of" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert cli.main(["count", str(tmp_path / "empty"), "--model", str(finished_run)]) == 1
    assert "holds no image" in capsys.readouterr().err


@pytest.mark.parametrize("command", [[], ["count"], ["classify"], ["study"]])
def test_help_is_fast_and_has_an_example(command):
    script = (
        f"import sys; sys.argv = ['hf-recipes', *{command!r}, '--help']\nfrom hf_recipes.cli import main\n"
        "try: main()\nfinally: print('torch' in sys.modules, file=sys.stderr)"
    )
    done = run_python("-c", script, check=False)
    assert done.stderr.strip().endswith("False")
    assert not command or "example: hf-recipes" in " ".join(done.stdout.split())
    named = re.findall(r"recipes/[\w/]+\.yaml", done.stdout)
    assert all((ROOT / name).exists() for name in named) and (command != ["study"] or named)


def test_the_command_is_installed():
    done = subprocess.run([f"{sys.prefix}/bin/hf-recipes", "--help"], capture_output=True, text=True)
    assert done.returncode == 0 and "count" in done.stdout
