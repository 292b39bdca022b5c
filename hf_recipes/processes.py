"""Recipes run one after the other, each in a process of its own that need not import what they all import."""

import multiprocessing
import os
import runpy
import signal
import sys
import threading
from pathlib import Path

# What recipes share. Its server forks before anything is computed: threads of a computation would not survive that.
PRELOADED = ["hf_recipes.run", "matplotlib.pyplot", "evaluate", "scipy.stats", "sklearn.linear_model"]


def run_file(file: Path, words: list[str], log: Path) -> int:
    """Run a Python file with words on its command line, and wait for it.

    Processes are forked, where the system can do that, from one that has loaded torch, transformers and the like: the second run starts in
    half a second. One that crashes takes no other with it, and one whose parent is gone ends as well.

    Args:
        log: what the process writes is appended to it.

    Returns:
        Its exit code, negative where a signal ended it.
    """
    forks = "forkserver" in multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if forks else "spawn")
    if forks:
        context.set_forkserver_preload(PRELOADED)
    process = context.Process(target=become, args=(file, words, log))
    process.start()
    process.join()
    return process.exitcode


def become(file: Path, words: list[str], log: Path) -> None:
    threading.Thread(target=end_with_parent, daemon=True).start()
    with log.open("a") as output:
        for stream in (1, 2):
            os.dup2(output.fileno(), stream)
    sys.argv = [str(file), *words]
    runpy.run_path(str(file), run_name="__main__")


def end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os.kill(os.getpid(), signal.SIGKILL)  # what is written is whole or not there at all: see `checkpoints`
