"""Runs the cell-counting recipe and kills itself without warning: `interrupted_run.py HOW STEP OPTIONS...`.

HOW is `step` (in the middle of that step), `save` (while the checkpoint of that step is half written) or `never`.
"""

import os
import signal
import sys

from conftest import load_recipe

from hf_recipes import checkpoints, run, training

how, step, sys.argv[1:] = sys.argv[1], int(sys.argv[2]), sys.argv[3:]


def die():
    os.kill(os.getpid(), signal.SIGKILL)


training_step, write_json = training.RecipeTrainer.training_step, checkpoints.write_json


def dying_step(self, *args, **kwargs):
    if how == "step" and self.state.global_step == step:
        die()
    return training_step(self, *args, **kwargs)


def dying_write(path, value):
    if how == "save" and path.name == checkpoints.MANIFEST_FILE and path.parent.name == f"checkpoint-{step}":
        weights = path.parent / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:100])
        die()
    write_json(path, value)


training.RecipeTrainer.training_step, checkpoints.write_json = dying_step, dying_write
recipe = load_recipe("cell_counting")
run.launch(recipe.main, recipe.CellCountingArguments)
