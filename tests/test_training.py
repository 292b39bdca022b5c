import json
import logging
import platform
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from conftest import ROOT, TINY, go_back, options, run_python
from huggingface_hub import ModelCard

from hf_recipes import CellCounter, CellCounterImageProcessor, training
from hf_recipes.arguments import RecipeParser, RecipeTrainingArguments
from hf_recipes.cell_counting.data import CellCollator, load_cells
from hf_recipes.checkpoints import last_whole_checkpoint, read_json, write_json
from hf_recipes.processes import run_file
from hf_recipes.run import run_settings, write_recipe
from hf_recipes.training import RecipeTrainer

FINAL = ("test_mae", "test_rmse", "eval_mae", "steps", "chosen_step")


@dataclass
class SimpleArguments:
    """A recipe's own arguments, none."""


def results(folder):
    return json.loads((folder / "all_results.json").read_text())


def test_a_run_writes_everything_and_is_not_trained_again(run_tiny, finished_run):
    found = {path.name for path in finished_run.iterdir()}
    assert {"model.safetensors", "config.json", "preprocessor_config.json", "README.md", "recipe.yaml", "picture.png",
            "example.png", "modeling_cell_counter.py", "pipeline_cell_counting.py"} <= found  # fmt: skip
    assert not any(name.endswith(".tmp") for name in found)
    before, weights = results(finished_run), (finished_run / "model.safetensors").stat().st_mtime_ns
    assert run_tiny(finished_run) == before
    assert (finished_run / "model.safetensors").stat().st_mtime_ns == weights
    with pytest.raises(ValueError, match=r"learning_rate \(0.003 then, 0.1 now\)"):
        run_tiny(finished_run, learning_rate=0.1)


def test_a_finished_run_is_tested_again_and_not_trained(run_tiny, finished_run, tmp_path, monkeypatch):
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    first, weights = read_json(run / "all_results.json"), (run / "model.safetensors").read_bytes()
    write_json(run / "all_results.json", first | {"train_seconds": 1234.5, "hardware": "an abacus", "test_mae": -1.0})
    monkeypatch.setattr(RecipeTrainer, "train", None)
    again = run_tiny(run, test_again=True)
    assert again == first | {"train_seconds": 1234.5, "hardware": "an abacus", "times_tested": 2}
    assert read_json(run / "all_results.json") == json.loads(json.dumps(again))
    assert (run / "model.safetensors").read_bytes() == weights
    card, before = (run / "README.md").read_text(), (finished_run / "README.md").read_text()
    assert "used 2 times" in card and "20.6 minutes" in card and "an abacus" in card
    assert "(saved)" in card and card.count("\n| ") == before.count("\n| ") and "test_again" not in card
    (run / "trainer_state.json").unlink()
    with pytest.raises(FileNotFoundError, match="leave --test_again out"):
        run_tiny(run, test_again=True)


def test_the_recipe_file_makes_the_same_run_again(finished_run, pairs, tmp_path):
    words = options(config=finished_run / "recipe.yaml", dataset=pairs, output_dir=tmp_path / "again")
    assert run_file(ROOT / "recipes/cell_counting.py", words, tmp_path / "log.txt") == 0
    assert str(pairs) not in (finished_run / "README.md").read_text() + (finished_run / "recipe.yaml").read_text()
    assert results(tmp_path / "again")["test_mae"] == pytest.approx(results(finished_run)["test_mae"], abs=1e-5)


@pytest.mark.parametrize(("how", "step"), [("step", 7), ("save", 8)])
def test_a_killed_run_goes_on_and_ends_as_an_unbroken_one(finished_run, pairs, tmp_path, how, step):
    """4 steps an epoch: killed in the middle of the second epoch, and while its checkpoint is written."""
    folder, log = tmp_path / "run", tmp_path / "log.txt"
    words = options(**TINY | {"dataset": pairs, "output_dir": folder})
    script = ROOT / "tests/interrupted_run.py"
    assert run_file(script, [how, str(step), *words], log) == -9
    assert (folder / "checkpoint-8").exists() == (how == "save") and not (folder / "all_results.json").exists()
    assert "Skipping" not in log.read_text()
    assert run_file(script, ["never", "0", *words], log) == 0
    assert ("Skipping" in log.read_text()) == (how == "save")
    state = json.loads((folder / "trainer_state.json").read_text())
    assert [row["step"] for row in state["log_history"] if "eval_mae" in row] == [4, 8, 12]
    for key in FINAL:
        assert results(folder)[key] == pytest.approx(results(finished_run)[key], abs=1e-5), key


def test_a_checkpoint_is_whole_only_with_all_its_files(tmp_path, caplog):
    for step in (10, 20, 100):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(b"12345")
        write_json(folder / "complete.json", {"model.safetensors": 5})
    assert last_whole_checkpoint(tmp_path).endswith("checkpoint-100")
    (tmp_path / "checkpoint-100/model.safetensors").write_bytes(b"123")
    (tmp_path / "checkpoint-20/complete.json").unlink()
    with caplog.at_level(logging.WARNING):
        assert last_whole_checkpoint(tmp_path).endswith("checkpoint-10")
    assert "checkpoint-100" in caplog.text and "checkpoint-20" in caplog.text
    shutil.copytree(tmp_path / "checkpoint-10", tmp_path / "checkpoint-10-copy")
    assert last_whole_checkpoint(tmp_path).endswith("checkpoint-10")
    shutil.rmtree(tmp_path / "checkpoint-10")
    assert last_whole_checkpoint(tmp_path) is None


def test_a_full_disk_loses_nothing(run_tiny, finished_run, no_report, tmp_path, monkeypatch):
    no_report("cell_counting")
    save = training.Trainer._save_optimizer_and_scheduler

    def full(self, output_dir):
        if self.state.global_step == 8:
            raise OSError(28, "No space left on device")
        save(self, output_dir)

    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(training.Trainer, "_save_optimizer_and_scheduler", full)
        with pytest.raises(OSError, match=r"cannot write the checkpoint .*checkpoint-8.*No space left.*goes on"):
            run_tiny(folder)
    assert last_whole_checkpoint(folder).endswith("checkpoint-4") and not (folder / "checkpoint-8").exists()
    run_tiny(folder)
    assert results(folder)["test_mae"] == pytest.approx(results(finished_run)["test_mae"], abs=1e-5)


def test_a_folder_that_cannot_be_written_is_named(run_tiny, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"cannot write to --output_dir .*file/run"):
        run_tiny(tmp_path / "file" / "run")


def test_a_loss_that_is_not_a_number_stops_the_run(run_tiny, tmp_path):
    with pytest.raises(FloatingPointError, match="learning_rate"):
        run_tiny(tmp_path / "run", learning_rate=1e30, optim="sgd", max_grad_norm=0)


def test_the_clock_adds_up_over_resumed_runs():
    clock = training.WallClock()
    state = SimpleNamespace(stateful_callbacks={"WallClock": {"args": {"seconds": 100.0}, "attributes": {}}})
    clock.on_train_begin(None, state, None)
    assert 100 <= clock.seconds < 101 and clock.state()["args"]["seconds"] >= 100
    clock.on_train_end(None, state, None)
    stopped = clock.seconds
    assert stopped >= 100 and clock.seconds == stopped  # the test that follows is not counted


def test_the_average_is_what_is_saved(finished_run):
    import safetensors.torch as st

    last = finished_run / "checkpoint-12"
    average, trained = st.load_file(last / "model.safetensors"), st.load_file(last / "trained_weights.safetensors")
    final = st.load_file(finished_run / "model.safetensors")
    name = "network.head.weight"
    assert torch.equal(final[name], average[name]) and not torch.equal(average[name], trained[name])


def test_the_average_forgets_the_start_and_then_decays_as_asked():
    model = torch.nn.Linear(1, 1)
    trainer = SimpleNamespace(
        model=model, average=None, args=SimpleNamespace(weight_average=0.9), state=SimpleNamespace(global_step=0)
    )
    for step, value in ((1, 1.0), (2, 3.0), (300, 7.0)):
        torch.nn.init.constant_(model.weight, value)
        trainer.state.global_step = step
        training.RecipeTrainer.update_average(trainer)
    early = 3 / 12 * 1 + 9 / 12 * 3  # (1 + steps) / (10 + steps) is less than what is asked
    assert trainer.average["weight"].item() == pytest.approx(0.9 * early + 0.1 * 7)


def test_validation_is_of_what_is_saved(finished_run, pairs):
    """Of the averaged weights, and not of those that are trained."""
    processor = CellCounterImageProcessor.from_pretrained(finished_run)
    rows = load_cells(str(pairs), processor, validation_size=3, test_size=5, seed=3)["validation"]
    batch = CellCollator(processor)(list(rows))
    with torch.no_grad():
        counts = CellCounter.from_pretrained(finished_run).eval()(batch["pixel_values"]).counts
    error = (counts - batch["labels"].sum((1, 2))).abs().mean().item()
    assert error == pytest.approx(results(finished_run)["eval_mae"], abs=1e-3)


def test_augmentation_is_seeded_by_seed_step_and_process():
    def draw(seed=1, process=0, step=5, calls=1):
        trainer = SimpleNamespace(
            args=SimpleNamespace(seed=seed, process_index=process),
            state=SimpleNamespace(global_step=step),
            place=(-1, 0),
        )
        for _ in range(calls):
            generator = training.RecipeTrainer.batch_generator(trainer)
        return torch.rand(1, generator=generator).item()

    assert draw() == draw()
    assert len({draw(), draw(seed=2), draw(process=1), draw(step=6), draw(calls=2)}) == 5


def test_a_finished_training_is_not_trained_further_when_its_test_was_cut(run_tiny, no_report, tmp_path):
    no_report("cell_counting")
    options = {"max_steps": 5, "save_strategy": "steps", "save_steps": 5, "eval_strategy": "steps", "eval_steps": 5}
    before = run_tiny(tmp_path, **options)  # 4 steps are an epoch
    (tmp_path / "all_results.json").unlink()
    after = run_tiny(tmp_path, **options)
    assert before["steps"] == after["steps"] == 5
    assert {key: after[key] for key in FINAL} == {key: before[key] for key in FINAL}


def test_batch_norm_is_frozen_after_its_share_of_the_steps(run_tiny, no_report, tmp_path, monkeypatch):
    no_report("cell_counting")
    seen, step = [], training.Trainer.compute_loss

    def spy(self, model, *args, **kwargs):
        norms = [m.training for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
        seen.append((self.state.global_step, all(norms), any(norms)))
        return step(self, model, *args, **kwargs)

    monkeypatch.setattr(training.Trainer, "compute_loss", spy)
    run_tiny(tmp_path / "run", freeze_batch_norm_at=0.5)
    assert seen == [(step, step < 6, step < 6) for step in range(12)]


def test_two_processes_measure_and_learn_what_one_does(finished_run, pairs, tmp_path):
    script, one, two = ROOT / "tests/two_processes.py", tmp_path / "one.json", tmp_path / "two.json"
    assert run_file(script, [str(finished_run), str(pairs), str(one)], tmp_path / "log.txt") == 0
    launcher = ["-m", "accelerate.commands.launch", "--config_file", ROOT / "recipes/accelerate/multi_cpu.yaml"]
    run_python(*launcher, script, finished_run, pairs, two)
    one, two = json.loads(one.read_text()), json.loads(two.read_text())
    assert (one["world_size"], two["world_size"]) == (1, 2)
    assert set(one["metrics"]) == set(two["metrics"]) and "eval_mae" in one["metrics"]
    for key, value in one["metrics"].items():
        assert two["metrics"][key] == pytest.approx(value, abs=1e-5), key
    assert len(one["losses"]) == 8 and two["losses"] == pytest.approx(one["losses"], abs=1e-4)


def test_a_recipe_runs_in_two_processes(pairs, tmp_path):
    values = TINY | {
        "dataset": pairs,
        "output_dir": tmp_path / "run",
        "per_device_train_batch_size": 1,
        "num_train_epochs": 1,
    }
    launcher = ["-m", "accelerate.commands.launch", "--config_file", ROOT / "recipes/accelerate/multi_cpu.yaml"]
    run_python(*launcher, ROOT / "recipes/cell_counting.py", *options(**values))
    results = json.loads((tmp_path / "run/all_results.json").read_text())
    assert results["processes"] == 2 and results["test_mae"] > 0 and results["steps"] == 4
    states = {path.name for path in (tmp_path / "run/checkpoint-4").glob("rng_state*")}
    assert states == {"rng_state_0.pth", "rng_state_1.pth"}
    assert last_whole_checkpoint(tmp_path / "run") == str(tmp_path / "run/checkpoint-4")
    assert "2 processes" in (tmp_path / "run/README.md").read_text()


def test_failures_that_a_user_can_mend_are_one_line(pairs, tmp_path):
    values = TINY | {"dataset": pairs, "output_dir": tmp_path, "stem_stride": 3}
    log = tmp_path / "log.txt"
    assert run_file(ROOT / "recipes/cell_counting.py", options(**values), log) == 1
    text = log.read_text()
    assert "Traceback" not in text and re.search("^error: .*stem_stride 3 does not go with", text, re.M), text


def test_a_run_goes_on_with_as_many_processes_as_it_was_begun_with(run_tiny, finished_run, tmp_path):
    settings = json.loads((finished_run / "settings.json").read_text())
    shutil.copytree(finished_run / "checkpoint-12", tmp_path / "run/checkpoint-12")
    write_json(tmp_path / "run/settings.json", settings | {"processes": 2})
    with pytest.raises(ValueError, match="begun with processes 2, and now it is 1: start so many"):
        run_tiny(tmp_path / "run")
    write_json(tmp_path / "run/settings.json", settings | {"precision": "bf16"})
    with pytest.raises(ValueError, match="begun with precision bf16, and now it is fp32: give --precision"):
        run_tiny(tmp_path / "run")
    write_json(tmp_path / "run/all_results.json", {"settings": settings["digest"]})
    assert run_tiny(tmp_path / "run") == {"settings": settings["digest"]}  # what is finished is
    # as folders were before: the digest was also of what nothing of a result depends on
    older = {"options": settings["options"] | {"per_device_eval_batch_size": 5}, "digest": "another"}
    write_json(tmp_path / "run/settings.json", older)
    assert run_tiny(tmp_path / "run") == {"settings": settings["digest"]}
    (tmp_path / "run/settings.json").unlink()  # as it is pulled from the Hub
    with pytest.raises(ValueError, match="holds a finished run of other settings"):
        run_tiny(tmp_path / "run", learning_rate=0.1)


def test_a_resumed_run_logs_the_losses_of_an_unbroken_one(run_tiny, tmp_path):
    options = {
        "save_strategy": "steps",
        "save_steps": 4,
        "logging_strategy": "steps",
        "logging_steps": 5,
        "save_total_limit": 9,
    }
    run_tiny(tmp_path / "whole", **options)
    go_back(tmp_path / "whole", tmp_path / "part", 8)
    run_tiny(tmp_path / "part", **options)
    whole, part = (
        {
            row["step"]: row["loss"]
            for row in read_json(tmp_path / name / "trainer_state.json")["log_history"]
            if "loss" in row
        }
        for name in ("whole", "part")
    )
    assert list(whole) == [5, 10] and part == pytest.approx(whole, abs=1e-5)


def test_no_checkpoint_is_gone_before_the_model_is_tested(run_tiny, tmp_path, monkeypatch):
    def stop(self, dataset):
        raise InterruptedError

    monkeypatch.setattr(RecipeTrainer, "test", stop)
    best = {
        "load_best_model_at_end": True,
        "metric_for_best_model": "mae",
        "greater_is_better": False,
        "save_total_limit": 1,
    }
    best |= {"eval_strategy": "epoch", "save_strategy": "epoch"}
    with pytest.raises(InterruptedError):
        run_tiny(tmp_path / "run", **best)
    state = read_json(Path(last_whole_checkpoint(tmp_path / "run")) / "trainer_state.json")
    assert state["global_step"] == state["max_steps"]
    assert not state["best_model_checkpoint"].endswith(f"-{state['max_steps']}")  # it is not kept for being the best


def test_the_card_publishes_the_test(finished_run):
    data, found = ModelCard.load(finished_run / "README.md").data, results(finished_run)
    published = {each.metric_type: each.metric_value for each in data.eval_results}
    assert published and published == pytest.approx({name: found[f"test_{name}"] for name in published})
    assert found["test_mae"] != pytest.approx(found["eval_mae"], rel=1e-3)


def test_a_run_in_bf16_is_tested_in_fp32(run_tiny, no_report, pairs, tmp_path):
    no_report("cell_counting")
    found = run_tiny(tmp_path, precision="bf16", num_train_epochs=1)
    processor = CellCounterImageProcessor.from_pretrained(tmp_path)
    batch = CellCollator(processor)(
        list(load_cells(str(pairs), processor, validation_size=3, test_size=5, seed=3)["test"])
    )
    with torch.no_grad():
        counts = CellCounter.from_pretrained(tmp_path).eval()(batch["pixel_values"]).counts
    error = (counts - batch["labels"].sum((1, 2))).abs().mean().item()
    assert found["precision"] == "bf16" and found["test_mae"] == pytest.approx(error, abs=1e-4)


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({}, None),
        ({"dataset": "me/cells"}, "me/cells"),
        ({"dataset": "local/cells"}, "path/to/cells"),
        ({"dataset": "."}, "path/to/cells"),
    ],
)
def test_the_published_recipe_names_what_anyone_can_get(tmp_path, options, kept):
    write_recipe(tmp_path / "recipe.yaml", options, "Cells", "https://example.org")
    assert yaml.safe_load((tmp_path / "recipe.yaml").read_text() or "{}").get("dataset") == kept


def test_what_decides_a_run_is_in_its_settings(tmp_path):
    def settings(**asked):
        (args,) = RecipeParser((RecipeTrainingArguments,)).parse(options(output_dir=tmp_path, **asked))
        return run_settings(SimpleArguments(), args)["options"]

    assert settings(dataloader_drop_last=True) == {"dataloader_drop_last": True}
    assert settings(dataloader_num_workers=2, save_strategy="steps", logging_steps=5) == {}
    best = {"save_strategy": "steps", "load_best_model_at_end": True, "eval_strategy": "steps"}
    assert settings(**best).keys() == best.keys()


def test_accumulated_batches_train_as_one_and_every_test_image_counts(run_tiny, no_report, tmp_path, monkeypatch):
    no_report("cell_counting")
    tested, test = [], training.RecipeTrainer.test

    def spy(self, dataset):
        predictions = test(self, dataset)
        tested.append(len(predictions.label_ids["count"]))
        return predictions

    monkeypatch.setattr(training.RecipeTrainer, "test", spy)
    options = {"num_train_epochs": 1, "logging_strategy": "steps", "logging_steps": 1, "weight_average": 0.0, "geometry": False,
               "architecture": "regressor", "image_size": [48, 48], "dataloader_drop_last": True}  # fmt: skip
    losses = []
    for batch, steps in ((4, 1), (2, 2)):
        folder = tmp_path / str(steps)
        run_tiny(
            folder,
            per_device_train_batch_size=batch,
            gradient_accumulation_steps=steps,
            freeze_batch_norm_at=0.0,
            **options,
        )
        log = json.loads((folder / "trainer_state.json").read_text())["log_history"]
        losses.append([row["loss"] for row in log if "loss" in row])
        assert tested[-1] == 5 and results(folder)["steps"] == 2
    assert len(losses[0]) == 2 and losses[0] == pytest.approx(losses[1], rel=1e-3)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_freed_memory_is_kept_for_the_next_step(tmp_path):
    """In a process of its own: pages of 64 MB are fetched from the system by every allocation before, by the first one after."""
    script, log = tmp_path / "script.py", tmp_path / "log.txt"
    script.write_text("""
import resource, torch
from hf_recipes.run import keep_freed_memory
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        torch.ones(2**24)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
before = faults()
keep_freed_memory()
faults()
print(before, faults())
""")
    assert run_file(script, [], log) == 0
    before, after = map(int, log.read_text().split())
    assert after < before / 20
