import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import ROOT, TINY, load_recipe, make_parser

from hf_recipes import cli, study
from hf_recipes.study import Section, Study, copy_card, load_study, run_study
from hf_recipes.study_figures import plot_section
from hf_recipes.study_page import comparison_rows, mean_and_deviation, section_rows, write_page

STUDIES = sorted((ROOT / "recipes").glob("*/study_*.yaml"))


@pytest.fixture
def small_study(tmp_path, pairs, monkeypatch):
    """A study of one variant and two seeds on the pairs, in a working directory of its own."""
    monkeypatch.chdir(tmp_path)
    options = {key: value for key, value in TINY.items() if value is not None and key != "seed"}
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(options | {"num_train_epochs": 1}))
    section = {
        "title": "One",
        "seeds": [0, 1],
        "baselines": True,
        "cards": ["tiny"],
        "published": {"Somebody": "1.0 ± 0.1"},
        "variants": {"tiny": {"config": str(tmp_path / "tiny.yaml")}},
    }
    file = tmp_path / "study_1.yaml"
    recipe = str(ROOT / "recipes/cell_counting.py")
    metrics = {"test_mae": "test MAE", "eval_mae": "validation MAE"}
    file.write_text(yaml.safe_dump({"recipe": recipe, "metrics": metrics, "sections": [section]}, sort_keys=False))
    return Path(file.name)  # relative, as a user gives it


def test_a_study_runs_once_and_writes_its_page(small_study, pairs, tmp_path, capsys, monkeypatch):
    passed_on = ["--dataset", str(pairs)]
    run_study(small_study, seeds=[1], passed_on=passed_on)
    assert not (tmp_path / "model_cards/cell_counting/tiny").exists()  # the card is that of the file's first seed
    page = write_page([run_study(small_study, passed_on=passed_on)])
    results = [
        json.loads(path.read_text()) for path in sorted((tmp_path / "model_cards/results/cell_counting").iterdir())
    ]
    assert [(result["variant"], result["seed"]) for result in results] == [("tiny", 0), ("tiny", 1)]
    assert capsys.readouterr().out.count("test MAE") == 2
    text = page.read_text()
    assert all(result["seconds"] > result["results"]["train_seconds"] for result in results)
    assert "with their data, baselines and tests" in text
    assert mean_and_deviation([result["results"]["test_mae"] for result in results]) in text
    assert "ridge on intensities" in text and "*published:* Somebody | " in text and "CPU threads" in text
    assert (tmp_path / "model_cards/cell_counting/study_1_0.png").exists()
    card = (tmp_path / "model_cards/cell_counting/tiny/README.md").read_text()
    assert f"{results[0]['results']['test_mae']:.4g}" in card and str(tmp_path) not in text

    assert not list((tmp_path / "outputs").rglob("checkpoint-*")) and list(
        (tmp_path / "outputs").rglob("model.safetensors")
    )

    def fail(*args):
        raise AssertionError("a finished run was run again")

    monkeypatch.setattr(study, "run_variant", fail)
    write_page([run_study(small_study, passed_on=passed_on)])
    half = tmp_path / "model_cards/results/cell_counting/tiny-s1.json"
    half.write_text(half.read_text()[:100])  # an older version was killed while it wrote
    with pytest.raises(AssertionError, match="run again"):
        run_study(small_study, passed_on=passed_on)
    config = tmp_path / "tiny.yaml"
    config.write_text(config.read_text() + "sigma: 3.0\n")  # other options: the old results no longer count
    with pytest.raises(AssertionError, match="run again"):
        run_study(small_study, passed_on=passed_on)
    assert load_study(small_study).results("tiny") == []


def test_a_page_alone_runs_nothing(small_study, tmp_path, monkeypatch):
    monkeypatch.setattr(study, "run_variant", lambda *args: pytest.fail("a run was started"))
    assert cli.main(["study", str(small_study), "--page-only"]) == 0


def test_columns_without_a_value_are_left_out(small_study):
    loaded = load_study(small_study)
    loaded.metrics["never_measured"] = "never measured"
    run = {"seed": 0, "results": {"test_mae": 1.0, "eval_mae": 2.0, "train_seconds": 60.0, "precision": "fp32"}}
    (row,) = section_rows(loaded, Section("One", ["tiny"]), {"tiny": [run]})
    assert row == {"variant": "tiny", "runs": 1, "test MAE": "1.000", "validation MAE": "2.000", "minutes": "1.000"}


@pytest.mark.parametrize("baselines, images", [(True, [8, 8]), ("untrained", [8, None])])
def test_untrained_baselines_have_no_training_data(small_study, baselines, images):
    measured = {"test_mae": 1.0, "eval_mae": 2.0, "train_seconds": 60.0, "precision": "fp32", "parameters": 5}
    run = {"seed": 0, "results": measured | {"train_examples": 8, "baselines": {"threshold": {"mae": 3.0}}}}
    rows = section_rows(load_study(small_study), Section("One", ["tiny"], baselines=baselines), {"tiny": [run]})
    assert [row["training images"] for row in rows] == images and rows[1]["test MAE"] == "3.000"


def test_rows_say_in_which_precision_they_were_trained_where_it_differs(small_study):
    measured = {"test_mae": 1.0, "eval_mae": 2.0, "train_seconds": 60.0}
    runs = {
        name: [
            {"seed": 0, "results": measured | {"precision": name}},
            {"seed": 1, "results": measured | {"precision": "bf16"}},
        ]
        for name in ("fp32", "bf16")
    }
    rows = section_rows(load_study(small_study), Section("Two", list(runs)), runs)
    assert [row["trained in"] for row in rows] == ["bf16, fp32", "bf16"]


def test_a_copied_card_says_that_it_is_one(tmp_path):
    (tmp_path / "README.md").write_text("---\nmetrics: []\n---\n\n# A card\n\n![Losses](losses.png)\n")
    for name in ("losses.png", "other.png"):
        (tmp_path / name).touch()
    copy_card(tmp_path, tmp_path / "card")
    assert sorted(path.name for path in (tmp_path / "card").iterdir()) == ["README.md", "losses.png"]
    card = (tmp_path / "card/README.md").read_text()
    assert card.startswith("---\nmetrics: []\n---\n\n# A card\n\n*A copy of the card")


@pytest.mark.parametrize("option", ["--max_steps", "--seed=3", "--output_dir", "--load_best_model_at_end"])
def test_nothing_but_the_study_changes_its_results(small_study, option):
    with pytest.raises(ValueError, match=rf"{option} would change what the study measures"):
        run_study(small_study, passed_on=["--dataset", "somewhere", option, "1"])


def test_a_failing_run_names_its_reason_and_log(small_study):
    with pytest.raises(RuntimeError, match=r"tiny with seed 0 failed: error: .*nowhere does not exist.*log\.txt"):
        run_study(small_study, passed_on=["--dataset", "/nowhere"])


def test_unknown_variants_and_sections_are_named(small_study):
    with pytest.raises(ValueError, match="no variant other; it has tiny"):
        run_study(small_study, only=["other"])
    with pytest.raises(ValueError, match="no variant with seed 7"):
        run_study(small_study, seeds=[0, 7])
    data = yaml.safe_load(small_study.read_text())
    data["sections"][0]["variants"]["ghost"] = None
    small_study.write_text(yaml.safe_dump(data))
    with pytest.raises(ValueError, match="no section defines the variants ghost"):
        load_study(small_study)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"plot": "pie"}, "the plot 'pie' of 'One' is none of rows, curve"),
        ({"baselines": "untraind"}, "the baselines of 'One' are 'untraind'; they are true, false or untrained"),
        ({"cards": ["tinny"]}, "the cards tinny are no variants of 'One'"),
        ({"variants": {"tiny": {}}}, "the variant tiny has no config"),
        ({"title": "One"}, "two sections define the variant tiny"),
        ({"variants": {"tiny": {"config": "tiny.yaml", "sigma": None}}}, "an option of the variant tiny is null"),
    ],
)
def test_mistakes_in_a_study_are_named_before_anything_runs(change, message, small_study):
    data = yaml.safe_load(small_study.read_text())
    again = [data["sections"][0]] if "title" in change else []
    data["sections"] = [data["sections"][0] | change, *again]
    small_study.write_text(yaml.safe_dump(data))
    with pytest.raises(ValueError, match=message):
        load_study(small_study)


def test_a_variant_goes_on_from_the_run_of_another(small_study, monkeypatch):
    data = yaml.safe_load(small_study.read_text())
    variants = data["sections"][0]["variants"]
    variants["tuned"] = {**variants["tiny"], "start_from": "variant:tiny", "seeds": [0, 1, 3]}
    small_study.write_text(yaml.safe_dump(data))
    loaded = load_study(small_study)
    before, calls = loaded.variants["tuned"].digest(1), []

    def run(recipe, words, log):
        calls.append(dict(pairwise(words)))
        folder = Path(calls[-1]["--output_dir"])
        for name, text in (("all_results.json", '{"test_mae": 1.0}'), ("README.md", "")):
            (folder / name).write_text(text)
        return 0

    monkeypatch.setattr(study, "run_file", run)
    run_study(small_study, seeds=[1], only=["tuned"])
    assert len(calls) == 2 and "--start_from" not in calls[0]  # the source first, since its folder is not here
    assert calls[1]["--start_from"] == calls[0]["--output_dir"] and calls[1]["--seed"] == "1"
    run_study(small_study, seeds=[0, 1])
    assert len(calls) == 4  # seed 0 of both; nothing is run twice
    committed = loaded.result_file("tiny", 0)
    committed.write_text(committed.read_text().replace("1.0", "2.0"))
    loaded.result_file("tuned", 0).unlink()
    (loaded.folder(loaded.variants["tiny"], 0) / "all_results.json").unlink()
    run_study(small_study, seeds=[0])
    assert len(calls) == 6 and "2.0" in committed.read_text()  # run again for the other's sake, and not recorded again
    run_study(small_study, seeds=[3], only=["tuned"])  # the source has two seeds: the second of them in turn
    assert len(calls) == 7 and calls[-1]["--start_from"] == calls[0]["--output_dir"] and calls[-1]["--seed"] == "3"
    data["sections"][0]["variants"]["tiny"]["sigma"] = 3.0  # another source is another run
    small_study.write_text(yaml.safe_dump(data))
    assert load_study(small_study).variants["tuned"].digest(1) != before
    data["sections"][0]["variants"]["tuned"]["start_from"] = "variant:tuned"
    small_study.write_text(yaml.safe_dump(data))
    with pytest.raises(ValueError, match="the variants tuned go on from each other"):
        load_study(small_study)
    data["sections"][0]["variants"]["tuned"]["start_from"] = "variant:nobody"
    small_study.write_text(yaml.safe_dump(data))
    with pytest.raises(ValueError, match="no section defines the variants nobody"):
        load_study(small_study)


def test_means_have_the_digits_that_their_spread_allows():
    assert mean_and_deviation([2.0, 2.5, 3.0]) == "2.50 ± 0.50"
    assert mean_and_deviation([101.0, 145.0]) == "123 ± 31"
    assert [mean_and_deviation([value]) for value in (28.2, 1234.5, 12_345)] == ["28.20", "1234", "12,345"]
    assert mean_and_deviation([3.7038, 3.7038000001]) == "3.704"
    assert (
        mean_and_deviation([0.9512]) == "0.9512"
        and mean_and_deviation([11529, 11529]) == "11,529"
        and mean_and_deviation([None]) is None
        and mean_and_deviation([1.0, None]) is None
    )


@pytest.mark.parametrize(("plot", "x"), [("curve", "train_examples"), ("scatter", ["parameters", "train_examples"])])
def test_curves_and_scatters_show_every_variant_against_x(plot, x):
    lines = {"U-Net": ["unet-8", "unet-32"], "regressor": ["regressor-8"]}
    variants = [name for names in lines.values() for name in names]
    results = {
        name: [
            {"results": {"test_mae": mae + seed, "train_examples": int(name.split("-")[1]), "parameters": 1000}}
            for seed in (0, 1)
        ]
        for name, mae in zip(variants, (5.0, 2.0, 7.0))
    }
    section = Section("Learning curve", variants, plot=plot, x=x, lines=lines)
    drawn = Study(Path("study_1.yaml"), Path("recipe.py"), "Cells", "", {"test_mae": "test MAE"}, [section], {})
    figure = plot_section(drawn, section, results)
    axis = figure.axes[-1]  # of the scatter's panels, the one of train_examples
    points = {container.get_label(): list(zip(*container.lines[0].get_data())) for container in axis.containers}
    assert points == {"U-Net": [(8, 5.5), (32, 2.5)], "regressor": [(8, 7.5)]}
    assert len(figure.axes) == (1 if plot == "curve" else 2) and axis.get_ylabel() == "test MAE"


def test_names_of_a_scatter_stay_inside_and_apart():
    names = [f"a-rather-long-name-{number}" for number in range(6)]
    results = {name: [{"results": {"test_mae": 5 + 0.01 * n, "parameters": 100 + n}}] for n, name in enumerate(names)}
    results["far"] = [{"results": {"test_mae": 1.0, "parameters": 10**6}}]
    section = Section("Size", list(results), plot="scatter", x="parameters")
    drawn = Study(Path("study_1.yaml"), Path("recipe.py"), "Cells", "", {"test_mae": "test MAE"}, [section], {})
    figure = plot_section(drawn, section, results)
    figure.draw_without_rendering()
    (axis,) = figure.axes
    boxes = [text.get_window_extent() for text in axis.texts]
    assert len(boxes) == len(results)
    for number, box in enumerate(boxes):
        assert not box.count_overlaps(boxes[:number]) and axis.bbox.contains(*box.min) and axis.bbox.contains(*box.max)


def test_published_rows_may_hold_several_metrics(small_study, pairs):
    run_study(small_study, seeds=[0], passed_on=["--dataset", str(pairs)])
    study_of_rows = yaml.safe_load(small_study.read_text())
    rows = {"Both": {"test_mae": 1.0, "eval_mae": "2.0"}, "One": {"eval_mae": 3.0}}
    study_of_rows["sections"][0]["published"] = rows
    small_study.write_text(yaml.safe_dump(study_of_rows, sort_keys=False))
    text = write_page([load_study(small_study)]).read_text()
    assert "*published:* Both |  | 1.0 | 2.0 |" in text and "*published:* One |  |  | 3.0 |" in text
    rows["One"] = {"test_mea": 3.0}
    small_study.write_text(yaml.safe_dump(study_of_rows, sort_keys=False))
    with pytest.raises(ValueError, match="'One' is published with test_mea; metrics are test_mae, eval_mae"):
        load_study(small_study)


def test_rows_show_a_second_metric_hollow():
    results = {
        name: [{"results": {"test_accuracy": value, "train_accuracy": value + 0.1}}]
        for name, value in (("a", 0.5), ("b", 0.7))
    }
    metrics = {"test_accuracy": "test accuracy", "train_accuracy": "training accuracy"}
    section = Section("Gap", ["a", "b"], also="train_accuracy")
    axis = plot_section(Study(Path("s.yaml"), Path("r.py"), "", "", metrics, [section], {}), section, results).axes[0]
    (hollow,) = [line for line in axis.lines if line.get_label() == "training accuracy"]
    assert hollow.get_xdata() == pytest.approx([0.6, 0.8]) and list(hollow.get_ydata()) == [0, -1]


@pytest.mark.parametrize("file", STUDIES, ids=lambda file: file.stem)
def test_the_studies_of_the_project_are_valid(file, monkeypatch):
    """Every variant parses with its recipe's options."""
    monkeypatch.chdir(ROOT)
    loaded = load_study(file)
    parser = make_parser(load_recipe(loaded.recipe.stem))
    for variant in loaded.variants.values():
        words = ["--config", str(variant.config)]
        for key, value in variant.options.items():
            words += [f"--{key}", *map(str, value if isinstance(value, list) else [value])]
        recipe, _ = parser.parse(words)
        assert "local/" not in recipe.dataset


def test_results_of_a_task_are_filed_under_names_of_their_own(monkeypatch):
    """Where two studies of a task have a variant of one name, it is the same run."""
    monkeypatch.chdir(ROOT)
    digests = {}
    for file in STUDIES:
        loaded = load_study(file.relative_to(ROOT))
        for name, variant in loaded.variants.items():
            assert digests.setdefault((loaded.task, name), variant.digest(0)) == variant.digest(0), (file, name)


def test_variants_are_compared_by_example(monkeypatch):
    """Of 40 examples in two runs each, the first variant wins on ten by one, and the other way round on two."""
    section = Section("Pairs", ["a", "b"], compare={"by": "f1", "pairs": [["a", "b"], ["a", "luck"], ["a", "b"]]})
    scores = {"a": [1.0] * 10 + [0.0] * 30, "b": [0.0] * 38 + [1.0] * 2}
    luck = [0.5] * 40

    def results(self, name):
        examples = {
            "ids": [f"q{number}" for number in range(40)],
            "scores": {"f1": {"model": scores[name], "luck": luck}},
        }
        return [{"seed": seed, "results": {"examples": examples}} for seed in (0, 1)]

    monkeypatch.setattr(Study, "results", results)
    drawn = Study(Path("s.yaml"), Path("r.py"), "", "", {"f1": "F1"}, [section], {"a": None, "b": None})
    first, baseline, again = comparison_rows(drawn, section)
    assert first == again and first["runs"] == 2 and first["difference in f1"] == "+0.2000"
    low, high = map(float, first["95 % interval"].split(" to "))
    # the runs share their examples, so the interval is that of 40 examples, not of 80
    values = [1] * 10 + [-1] * 2 + [0] * 28
    error = np.std(values) / 40**0.5
    assert low == pytest.approx(0.2 - 1.96 * error, abs=0.03) and high == pytest.approx(0.2 + 1.96 * error, abs=0.03)
    assert baseline["difference in f1"] == "-0.2500"
    pairs, section.compare["pairs"] = section.compare["pairs"], [["luck", "a"]]  # a baseline may be the first
    assert comparison_rows(drawn, section)[0]["difference in f1"] == "+0.2500"
    section.compare["pairs"] = pairs
    # parts and wholes: 0.5 of what counts in the first, all of it in the second
    scores |= {"a": [[1, 2], [0, 0]] * 20, "b": [[2, 2], [0, 0]] * 20}
    assert comparison_rows(drawn, section)[0]["difference in f1"] == "-0.5000"
    section.compare["pairs"] = [["a", "b"]]
    other = {"ids": list(range(1, 41)), "scores": {"f1": {"model": scores["b"]}}}
    monkeypatch.setattr(
        Study,
        "results",
        lambda self, name: [{"seed": 0, "results": {"examples": other}}] if name == "b" else results(self, name),
    )
    with pytest.raises(ValueError, match=r"s\.yaml: a and b were tested on other examples with seed 0"):
        comparison_rows(drawn, section)
    section.compare["pairs"] = [["a", "skill"]]
    with pytest.raises(ValueError, match=r"s\.yaml: 'skill' is neither a variant nor a baseline: luck, model"):
        comparison_rows(drawn, section)
    # a baseline that only another variant's runs have
    section.compare["pairs"] = [["b", "luck"]]
    other |= {"ids": [f"q{number}" for number in range(40)], "groups": [row // 20 for row in range(40)]}
    (row,) = comparison_rows(drawn, section)
    assert row["difference in f1"] == "+0.5000" and row["95 % interval"] == "+0.5000 to +0.5000"  # two groups, alike


def test_agreement_counts_what_all_some_and_none_get_right():
    right = {"a": [2.0, 2.0, 0.0, 0.0], "b": [2.0, 0.0, 0.0, 2.0]}
    results = {
        name: [
            {
                "seed": seed,
                "results": {
                    "test_f1": 0,
                    "examples": {
                        "ids": [0, 1, 2, 3],
                        "strata": [0, 0, 1, 1],
                        "classes": ["x", "y"],
                        "scores": {"f1": {"model": values}},
                    },
                },
            }
            for seed in (0, 1, *([2] if name == "a" else []))
        ]
        for name, values in right.items()
    }
    section = Section("Hard", ["a", "b"], plot="agreement")
    drawn = Study(Path("s.yaml"), Path("r.py"), "", "", {"test_f1": "F1"}, [section], {})
    axis = plot_section(drawn, section, results).axes[0]
    assert [text.get_text() for text in axis.get_yticklabels()] == ["y (4)", "x (4)"]  # two seeds, the hardest first
    bars = {each.get_label(): [bar.get_width() for bar in each] for each in axis.containers}
    assert bars == {
        "right by all, 25% of all": [0, 50],
        "by some, 50% of all": [50, 50],
        "by none, 25% of all": [50, 0],
    }


def test_histories_are_drawn_by_epoch():
    results = {
        name: [{"results": {"test_f1": 0, "history": {"epoch": [0, 1], "f1": [value + seed, 0.5]}}} for seed in (0, 1)]
        for name, value in (("mapped", 0.5), ("fresh", 0.0))
    }
    section = Section("By epoch", list(results), plot="history")
    drawn = Study(Path("s.yaml"), Path("r.py"), "", "", {"test_f1": "test F1"}, [section], {}, "sentences")
    axis = plot_section(drawn, section, results).axes[0]
    points = {container.get_label(): list(zip(*container.lines[0].get_data())) for container in axis.containers}
    assert points == {"mapped": [(0, 1.0), (1, 0.5)], "fresh": [(0, 0.5), (1, 0.5)]}
    assert axis.get_ylabel() == "F1 on the validation split"


def test_a_run_that_two_studies_share_counts_once(small_study):
    first = load_study(small_study)
    data = yaml.safe_load(small_study.read_text())
    data["sections"][0] |= {"seeds": [0], "published": {}, "baselines": False, "cards": []}
    Path("study_2.yaml").write_text(yaml.safe_dump(data, sort_keys=False))
    for whole, expected in (
        ({}, "2.0 hours. "),
        ({"seconds": 5400}, "2.0 hours, 3.0 with their data, baselines and tests. "),
    ):
        for seed in (0, 1):
            file = first.result_file("tiny", seed)
            measured = {"train_seconds": 3600, "precision": "fp32", "test_mae": 1.0}
            file.parent.mkdir(parents=True, exist_ok=True)
            run = {"seed": seed, "digest": first.variants["tiny"].digest(seed), "hardware": "a machine"} | whole
            file.write_text(json.dumps(run | {"results": measured | {"eval_mae": 1.0, "baselines": {}}}))
        page = write_page([first, load_study(Path("study_2.yaml"))]).read_text()
        assert f"all runs together {expected}" in page


def test_what_is_not_run_yet_is_compared_with_nothing(monkeypatch):
    """A baseline that another variant measures is looked for there, and is no mistake while that one is missing."""
    section = Section("Pairs", ["a", "b"], compare={"by": "f1", "pairs": [["a", "luck"], ["b", "chance"]]})
    examples = {"ids": [1, 2], "scores": {"f1": {"model": [1.0, 0.0]}}}
    done = {"a": [], "b": [{"seed": 0, "results": {"examples": examples}}]}
    monkeypatch.setattr(Study, "results", lambda self, name: done[name])
    drawn = Study(Path("s.yaml"), Path("r.py"), "", "", {"f1": "F1"}, [section], {"a": None, "b": None})
    with pytest.raises(ValueError, match="'chance' is neither a variant nor a baseline"):
        comparison_rows(drawn, section)
    section.compare["pairs"].pop()
    assert comparison_rows(drawn, section) == []


def test_changes_of_each_class_are_against_the_reference():
    def run(seed: int, right: list[bool]) -> dict:
        """Forty images of class 0, then forty of class 1."""
        scores = {"recall": {"model": np.array(right, float).tolist()}}
        examples = {"ids": list(range(80)), "strata": [0] * 40 + [1] * 40, "classes": ["a", "b"], "scores": scores}
        return {"seed": seed, "results": {"examples": examples}}

    centre = [True] * 36 + [False] * 4 + [True] * 20 + [False] * 20
    better = [True] * 35 + [False] * 5 + [True] * 30 + [False] * 10
    # a seed that the other has not run changes nothing
    results = {"centre": [run(0, centre), run(1, centre)], "better": [run(0, better)]}
    section = Section("Changes", list(results), plot="changes", reference="centre", compare={"by": "recall"})
    drawn = Study(Path("s.yaml"), Path("r.py"), "", "", {}, [section], {})
    axis = plot_section(drawn, section, results).axes[0]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["b (50 %)", "a (90 %)"]
    assert [text.get_text() for text in axis.texts] == ["+25", "-2"]
    assert axis.images[0].get_array().round(6).tolist() == [[25, 0]]  # that of a may be chance, and has no colour
    for unfinished in ("centre", "better"):
        assert plot_section(drawn, section, {unfinished: results[unfinished]}) is None
