import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hf_recipes.processes import run_file


def write_script(folder: Path, code: str) -> Path:
    (folder / "script.py").write_text(code)
    return folder / "script.py"


def test_a_file_runs_as_a_program_in_a_process_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    script = write_script(tmp_path, "import os, sys\nprint(__name__, sys.argv[1:], os.getcwd(), os.getpid())\n")
    log = tmp_path / "log.txt"
    assert run_file(script, ["--a", "b c"], log) == 0
    name, *_, process = log.read_text().split()
    assert name == "__main__" and "['--a', 'b c'] " + str(tmp_path) in log.read_text() and int(process) != os.getpid()


def test_its_end_is_reported_and_its_log_appended_to(tmp_path):
    log = tmp_path / "log.txt"
    script = write_script(tmp_path, "import sys\nsys.exit('error: no such thing')\n")
    assert run_file(script, [], log) == 1 and "error: no such thing" in log.read_text()
    assert run_file(write_script(tmp_path, "1 / 0\n"), [], log) == 1
    assert "no such thing" in log.read_text() and "ZeroDivisionError" in log.read_text()
    script = write_script(tmp_path, "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    assert run_file(script, [], log) == -9


def test_what_recipes_share_is_loaded_once(tmp_path):
    script = write_script(tmp_path, "import sys\nassert 'hf_recipes.training' in sys.modules, sorted(sys.modules)\n")
    log = tmp_path / "log.txt"
    run_file(script, [], log)
    before = time.monotonic()
    assert run_file(script, [], log) == 0, log.read_text()
    assert time.monotonic() - before < 3


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks the system whether a process is alive")
def test_a_process_ends_with_its_parent(tmp_path):
    log = tmp_path / "log.txt"
    script = write_script(tmp_path, "import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(100)\n")
    parent = f"from pathlib import Path\nfrom hf_recipes.processes import run_file\nrun_file(Path({str(script)!r}), [], Path({str(log)!r}))"
    running = subprocess.Popen([sys.executable, "-c", parent])
    wait_for(lambda: log.exists() and log.read_text().strip())
    child = int(log.read_text())
    assert is_alive(child)
    running.kill()
    running.wait()
    wait_for(lambda: not is_alive(child))


def is_alive(process: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False


def wait_for(condition, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)
