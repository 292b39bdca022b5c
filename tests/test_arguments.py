import os

import pytest
import torch
import yaml
from conftest import ROOT, load_recipe, make_parser

from hf_recipes import arguments
from hf_recipes.arguments import RecipeParser, RecipeTrainingArguments
from hf_recipes.loading import load_splits
from hf_recipes.run import use_all_processors


@pytest.fixture
def parser(cell_recipe):
    return RecipeParser((cell_recipe.CellCountingArguments, RecipeTrainingArguments), prog="recipe")


def write(tmp_path, **config):
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(config))
    return str(file)


def test_command_line_wins_over_yaml_over_defaults(parser, tmp_path):
    file = write(tmp_path, learning_rate=0.5, widths=[4, 5], geometry=False, train_size=None, output_dir="here")
    recipe, args = parser.parse(["--config", file, "--learning_rate", "0.25"])
    assert args.learning_rate == 0.25
    assert recipe.widths == [4, 5] and recipe.geometry is False and recipe.train_size is None
    assert args.output_dir == "here"  # relative to where the command runs
    assert recipe.sigma == 2.0 and args.save_total_limit == 2


def test_yaml_scientific_notation_is_a_number(parser, tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text("learning_rate: 1e-3\nlr_scheduler_kwargs: {min_lr: 0.1}\n")  # YAML 1.1 reads 1e-3 as text
    _, args = parser.parse(["--config", str(file)])
    assert args.learning_rate == 0.001 and args.lr_scheduler_kwargs == {"min_lr": 0.1}


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"learnin_rate": 1}, ["'learnin_rate'", "'learning_rate'", "config.yaml"]),
        ({"learning_rate": "fast"}, ["'learning_rate'", "'fast'", "config.yaml"]),
        ({"train_size": 2.5}, ["'train_size'", "2.5"]),
        ({"train_size": [1]}, ["'train_size'", "one value"]),
        ({"widths": 3}, ["'widths'", "a list"]),
        ({"geometry": 3}, ["'geometry'", "true or false"]),
        ({"seed": True}, ["'seed'", "not a switch"]),
        ({"learning_rate": None}, ["'learning_rate'", "needs a value"]),
        ({"architecture": "vit"}, ["'architecture'", "vit", "unet"]),
        ({"config": "other.yaml"}, ["'config'"]),
    ],
)
def test_bad_yaml_ends_with_one_line(parser, tmp_path, capsys, config, words):
    with pytest.raises(SystemExit) as stop:
        parser.parse(["--config", write(tmp_path, **config)])
    message = capsys.readouterr().err
    assert stop.value.code == 2
    assert message.count("\n") == 1 and all(word in message for word in words), message


def test_bad_files_and_options_end_with_one_line(parser, tmp_path, capsys):
    (tmp_path / "list.yaml").write_text("- 1\n")
    (tmp_path / "broken.yaml").write_text("a: [1\n")
    for argv, word in [
        (["--config", str(tmp_path / "none.yaml")], "none.yaml"),
        (["--config", str(tmp_path / "list.yaml")], "mapping"),
        (["--config", str(tmp_path / "broken.yaml")], "not valid YAML"),
        (["--learning_rat", "1"], "'learning_rate'"),
        (["--seed", "x"], "seed"),
    ]:
        with pytest.raises(SystemExit):
            parser.parse(argv)
        message = capsys.readouterr().err
        assert word in message and message.count("\n") == 1, message


def test_help_explains_every_option(parser):
    unexplained = [action.dest for action in parser._actions if not (action.help or "").strip()]
    assert not [name for name in unexplained if name in {f.name for f in _own_fields(parser)}], unexplained
    text = parser.format_help()
    assert "--local_count_weight" in text and "weight of the local counts" in text


@pytest.mark.parametrize(
    "recipe", sorted(path.stem for path in (ROOT / "recipes").glob("*.py") if path.stem != "quickstart")
)
def test_every_recipe_has_help(recipe):
    text = make_parser(load_recipe(recipe)).format_help()
    assert "--output_dir" in text and "--config" in text


def _own_fields(parser):
    import dataclasses

    recipe, training = parser.dataclass_types
    own = set(RecipeTrainingArguments.__annotations__)
    return [*dataclasses.fields(recipe), *(f for f in dataclasses.fields(training) if f.name in own)]


@pytest.mark.parametrize("hardware", [True, False])
def test_precision_follows_the_hardware(monkeypatch, tmp_path, hardware):
    monkeypatch.setattr(arguments, "has_bf16", lambda on_processor: hardware)
    assert RecipeTrainingArguments(output_dir=tmp_path).bf16 is hardware
    assert RecipeTrainingArguments(output_dir=tmp_path, precision="fp32").trained_precision == "fp32"
    assert RecipeTrainingArguments(output_dir=tmp_path, precision="bf16").trained_precision == "bf16"


def test_the_precision_is_that_of_the_recipe_whatever_accelerate_was_told(monkeypatch, tmp_path):
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "fp16")
    assert RecipeTrainingArguments(output_dir=tmp_path, precision="fp32").mixed_precision == "no"
    assert RecipeTrainingArguments(output_dir=tmp_path, precision="bf16").mixed_precision == "bf16"


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--resume_from_checkpoint", "somewhere", "--resume_from_checkpoint is not taken: a run goes on by itself"),
        ("--save_only_model", "true", "--save_only_model is not taken"),
        ("--bf16_full_eval", "true", "--bf16_full_eval is not taken: models are tested in fp32"),
        ("--bf16", "true", "--precision fp32 contradicts --bf16"),
        ("--weight_average", "-0.5", "--weight_average is -0.5; it is 0 or more and at most 1"),
    ],
)
def test_options_that_break_what_recipes_promise_end_with_one_line(parser, option, value, message, capsys):
    with pytest.raises(SystemExit):
        parser.parse(["--precision", "fp32", option, value])
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


@pytest.mark.parametrize(("launched", "asked", "expected"), [(True, "1", 3), (False, "1", 1), (True, "2", 1)])
def test_a_process_alone_is_not_left_with_one_thread(launched, asked, expected, monkeypatch, tmp_path):
    threads = [1]
    monkeypatch.setattr(torch, "set_num_threads", lambda number: threads.append(number))
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2}, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    monkeypatch.delenv("ACCELERATE_MIXED_PRECISION", raising=False)
    if launched:
        monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no")  # as `accelerate launch` does
    use_all_processors(RecipeTrainingArguments(str(tmp_path)))
    assert threads[-1] == (1 if torch.accelerator.is_available() else expected)


def test_a_missing_data_set_is_named():
    with pytest.raises(ValueError, match="give --dataset"):
        load_splits("")
