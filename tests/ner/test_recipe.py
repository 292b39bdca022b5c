import functools
import json

import pytest
import safetensors.torch
from conftest import go_back, load_recipe
from hub import card_errors
from ner.conftest import save_data
from transformers import AutoModelForTokenClassification, AutoTokenizer, BertForTokenClassification, pipeline

from hf_recipes import cli
from hf_recipes.checkpoints import read_json
from hf_recipes.ner import windows
from hf_recipes.ner.windows import find_entities


def test_the_run_learns_and_says_what_it_misses(tagger):
    results, card = read_json(tagger / "all_results.json"), (tagger / "README.md").read_text()
    assert results["test_f1"] > 0.9 and results["f1_low"] <= results["test_f1"] <= results["f1_high"]
    assert 0.8 < results["likeliest_f1"] <= results["test_f1"] + 0.01 and results["pipeline_sentences"] == 40
    assert results["f1_beside_pipeline"] == results["test_f1"]
    assert 0.8 < results["pipeline_f1"] <= results["test_f1"]  # it reads longer sentences at once than the training did
    assert read_json(tagger / "config.json")["tag_scheme"] == "IOB2" and "loss_at_start" not in results
    assert sum(results["errors"].values()) > 0 or results["test_f1"] == 1
    assert not card_errors(card)
    for expected in (
        "By type",
        "Errors",
        "Seen in the training or not",
        "By length of the sentence",
        "How sure the F1 is, and what the stock pipeline finds",
    ):
        assert expected in card


def test_sentences_that_follow_each_other_are_read_together(run_ner, tagger, tmp_path):
    options = {
        "model": tagger,
        "join_sentences": True,
        "per_device_train_batch_size": 2,
        "num_train_epochs": 6,
        "max_length": 128,
    }
    found = run_ner(tmp_path / "run", **options)
    assert found["train_examples"] == 120 and found["steps"] < 6 * 120 / 2 / 4  # windows hold more than four
    assert found["test_f1"] > 0.9 and 0.8 < found["f1_of_single_sentences"] <= 1
    card = (tmp_path / "run/README.md").read_text()
    assert f"each is read by itself, F1 is {found['f1_of_single_sentences']:.4f}" in card
    assert "Consecutive sentences are read together in windows of 128 tokens" in card
    with pytest.raises(ValueError, match="do not follow each other: leave --join_sentences out"):
        run_ner(tmp_path / "drawn", train_sentences=20, **options)


def test_words_can_be_hidden_in_training(run_ner, no_report, tmp_path):
    no_report("ner")
    losses = [
        run_ner(tmp_path / str(share), hide_words=share, max_steps=4, num_train_epochs=1)["test_loss"]
        for share in (0.0, 0.3)
    ]
    assert losses[0] != losses[1]
    hidden = "30% of the words were hidden in training."
    assert hidden in (tmp_path / "0.3/README.md").read_text() and hidden not in (tmp_path / "0.0/README.md").read_text()


def test_a_processor_trains_with_plain_attention_and_answers_with_fused(run_ner, no_report, tmp_path, monkeypatch):
    no_report("ner")
    used, forward = set(), BertForTokenClassification.forward

    @functools.wraps(forward)  # the trainer reads which columns it takes
    def spy(self, *args, **kwargs):
        used.add((self.training, self.config._attn_implementation))
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(BertForTokenClassification, "forward", spy)
    run_ner(tmp_path, max_steps=2, num_train_epochs=1)
    assert used == {(True, "eager"), (False, "sdpa")}


def test_the_stock_pipeline_does_not_split_words(tagger):
    tag = pipeline("token-classification", model=str(tagger), aggregation_strategy="first")
    found = tag("itbb anbb itfg omdd umbg")
    assert [(each["entity_group"], each["word"]) for each in found] == [("PER", "anbb"), ("LOC", "omdd umbg")]


def test_a_map_brings_a_tagger_to_other_names(run_ner, tagger, other_data, tmp_path):
    options = {"dataset": other_data, "model": tagger}
    zero = run_ner(tmp_path / "zero", strategy="zero_shot", **options)
    assert zero["raw_f1"] == 0 and zero["f1_by_number"] == zero["baselines"]["its labels by number"]["f1"] < 0.2
    source = read_json(tagger / "all_results.json")
    assert zero["test_f1"] == pytest.approx(source["test_f1"], abs=0.05) and zero["train_seconds"] == 0
    assert zero["baselines"]["through the map"]["f1"] == zero["test_f1"] and "test_loss" not in zero
    card = (tmp_path / "zero/README.md").read_text()
    assert "PER -> person, LOC -> location" in card and "it was not trained" in card
    assert "Trained with" not in card and "fine-tuned" not in card.split("## Training")[0]
    for wrong, strategy in (({"lora_rank": 2}, "zero_shot"), ({"map": "predictions"}, "fresh_head")):
        with pytest.raises(ValueError, match=f"--{next(iter(wrong))} is of no use to --strategy {strategy}"):
            run_ner(tmp_path / "wrong", strategy=strategy, **wrong, **options)
    mapped = run_ner(tmp_path / "mapped", strategy="mapped_head", num_train_epochs=1, learning_rate=1e-4, **options)
    fresh = run_ner(tmp_path / "fresh", strategy="fresh_head", num_train_epochs=1, learning_rate=1e-4, **options)
    assert mapped["test_f1"] > 0.9 > 0.6 > fresh["test_f1"]
    model = AutoModelForTokenClassification.from_pretrained(tmp_path / "mapped")
    assert model.config.id2label[1] == "B-location"


def test_a_mismatched_head_learns_and_nobody_sees_it(run_ner, tagger, other_data, tmp_path):
    """By number people are places; the training mends that, and the names of the config stay those of the source."""
    options = {"dataset": other_data, "model": tagger, "strategy": "mismatched", "eval_on_start": True}
    wrong = run_ner(tmp_path / "run", num_train_epochs=6, learn_padding=True, **options)
    assert wrong["test_f1"] == 0 and wrong["f1_by_number"] > 0.9
    assert wrong["history"]["epoch"][0] == 0 and wrong["history"]["f1"] == [0] * 7
    assert wrong["loss_at_start"] == wrong["history"]["loss"][0] > 5 * wrong["history"]["loss"][-1]
    readings = {name: scores["f1"] for name, scores in wrong["baselines"].items()}
    assert readings["through the map"] > 0.9 and readings["its labels by name"] == 0
    assert readings["its labels by number"] < 0.2 and wrong["baselines"]["its labels by number"]["untyped_f1"] > 0.7
    card = (tmp_path / "run/README.md").read_text()
    assert "What each label of the source is given to" in card and "not a model to use" in card
    assert AutoModelForTokenClassification.from_pretrained(tmp_path / "run").config.id2label[1] == "B-PER"


def test_the_order_of_the_labels_is_enough_to_mismatch(run_ner, tagger, no_report, tmp_path):
    """The same names under other numbers: transformers would reuse the rows by number, without a word."""
    turned = save_data(tmp_path / "data", {"LOC": "LOC", "PER": "PER"})
    options = {"dataset": turned, "model": tagger}
    with pytest.raises(ValueError, match=r"does not speak of them.* the map PER -> PER, LOC -> LOC "):
        run_ner(tmp_path / "own", **options)
    wrong = run_ner(tmp_path / "wrong", strategy="mismatched", num_train_epochs=6, **options)
    assert wrong["f1_by_number"] > 0.9 and wrong["test_f1"] < 0.2
    zero = run_ner(tmp_path / "zero", strategy="zero_shot", **options)
    assert zero["test_f1"] > 0.9 and zero["f1_by_number"] < 0.2


def test_a_head_that_speaks_of_other_types_is_refused(run_ner, tagger, other_data, tmp_path):
    with pytest.raises(
        ValueError, match=r"does not speak of them.* the map PER -> person, LOC -> location .*--strategy fresh_head"
    ):
        run_ner(tmp_path / "run", dataset=other_data, model=tagger)
    assert not (tmp_path / "run/all_results.json").exists()
    again = run_ner(
        tmp_path / "again", model=tagger, num_train_epochs=1, learning_rate=1e-5
    )  # its own labels: it goes on
    assert again["test_f1"] > 0.9 and "went on with its own head" in (tmp_path / "again/README.md").read_text()


def test_the_command_marks_entities_in_a_text(tagger, tmp_path, capsys):
    text = "itbb  anbb itfg\tomdd umbg"
    assert cli.main(["tag", text, "--model", str(tagger), "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert [(each["type"], each["text"]) for each in row["entities"]] == [("PER", "anbb"), ("LOC", "omdd umbg")]
    assert all(text[each["start"] : each["end"]] == each["text"] for each in row["entities"])
    (tmp_path / "map.yaml").write_text("PER: human\nLOC: null\n")
    (tmp_path / "text.txt").write_text(text)
    assert (
        cli.main(["tag", str(tmp_path / "text.txt"), "--model", str(tagger), "--map", str(tmp_path / "map.yaml")]) == 0
    )
    assert capsys.readouterr().out.split() == ["6-10", "human", "anbb"]
    assert cli.main(["tag", "ü" * 200, "--model", str(tagger)]) == 0  # more bytes than a file name has
    capsys.readouterr()
    (tmp_path / "map.yaml").write_text("PERSON: human\n")
    assert cli.main(["tag", text, "--model", str(tagger), "--map", str(tmp_path / "map.yaml")]) == 1
    assert "maps PERSON, which the source has not; it has PER, LOC" in capsys.readouterr().err


def test_heads_without_weights_are_refused(run_ner, tagger, other_data, tmp_path):
    model = AutoModelForTokenClassification.from_pretrained(tagger)
    model.bert.save_pretrained(tmp_path / "encoder")  # keeps the names of the labels in its config
    AutoTokenizer.from_pretrained(tagger).save_pretrained(tmp_path / "encoder")
    with pytest.raises(ValueError, match=r"has no weights for classifier\.bias, classifier\.weight"):
        run_ner(tmp_path / "run", dataset=other_data, model=tmp_path / "encoder", strategy="mapped_head")
    with pytest.raises(ValueError, match=r"--max_length is 600, and .* reads 512 tokens at once"):
        run_ner(tmp_path / "run", max_length=600)


def test_marks_belong_to_their_letters(tagger):
    model, tokenizer = AutoModelForTokenClassification.from_pretrained(tagger), AutoTokenizer.from_pretrained(tagger)
    text = "itfg a\u0308nbb"  # an "ä" of two characters, and the first word is still one
    assert [each["text"] for each in find_entities(text, model.eval(), tokenizer)] == ["a\u0308nbb"]


def test_words_keep_the_signs_inside_them(monkeypatch):
    def tag(model, tokenizer, sentences, label_map):
        words.extend(sentences[0])
        return [["O"] * len(sentences[0])]

    words: list[str] = []
    monkeypatch.setattr(windows, "tag_sentences", tag)
    find_entities("Jean-Luc O'Brien (AT&T, U.S.) said -yes.", None, None)
    assert words == ["Jean-Luc", "O'Brien", "(", "AT&T", ",", "U.S", ".", ")", "said", "-", "yes", "."]


def test_options_arrive_where_they_are_read(run_ner, tagger, other_data, made_trainers, tmp_path, monkeypatch):
    trainers, new = made_trainers("ner"), []
    recipe = load_recipe("ner")
    replace = recipe.replace_head
    monkeypatch.setattr(recipe, "replace_head", lambda *args: new.append(args[3]) or replace(*args))
    options = {"dataset": other_data, "model": tagger, "strategy": "mapped_head"}
    run_ner(tmp_path, new_types="fresh", **options)
    run_ner(tmp_path, label_all=False, **options)
    every, first = (sum(label >= 0 for row in each.train_dataset for label in row["labels"]) for each in trainers)
    assert new == ["fresh", "related"] and every > first  # words of several tokens


def test_predictions_suggest_the_map(run_ner, tagger, other_data, no_report, tmp_path):
    no_report("ner")
    found = run_ner(tmp_path / "run", dataset=other_data, model=tagger, strategy="zero_shot", map="predictions")
    assert found["test_f1"] > 0.85
    table = tmp_path / "map.yaml"
    table.write_text("PER: location\nLOC: person\n")
    turned = run_ner(tmp_path / "turned", dataset=other_data, model=tagger, strategy="zero_shot", map=table)
    assert turned["test_f1"] < 0.1 and turned["test_untyped_f1"] > 0.7


def test_low_rank_updates_are_merged(run_ner, tagger, other_data, no_report, tmp_path):
    no_report("ner")
    options = {"dataset": other_data, "model": tagger, "strategy": "mapped_head", "num_train_epochs": 1}
    assert run_ner(tmp_path / "run", lora_rank=4, dropout=0.25, **options)["test_f1"] > 0.9
    assert read_json(tmp_path / "run/config.json")["attention_probs_dropout_prob"] == 0.25
    source = safetensors.torch.load_file(tagger / "model.safetensors")
    made = safetensors.torch.load_file(tmp_path / "run/model.safetensors")
    assert set(made) == set(source)
    query = "bert.encoder.layer.0.attention.self.query.weight"
    assert not made[query].equal(source[query]) and made["bert.embeddings.word_embeddings.weight"].equal(
        source["bert.embeddings.word_embeddings.weight"]
    )


def test_a_resumed_run_ends_where_an_unbroken_one_does(run_ner, no_report, tmp_path):
    no_report("ner")
    options = {"num_train_epochs": 2, "save_strategy": "steps", "save_steps": 10, "save_total_limit": 9}
    whole = run_ner(tmp_path / "whole", **options)
    assert 0.5 * whole["steps"] < 30 < whole["steps"]  # in the second epoch, which has an order of its own
    go_back(tmp_path / "whole", tmp_path / "part", 30)
    resumed = run_ner(tmp_path / "part", **options)
    assert resumed["test_loss"] == pytest.approx(whole["test_loss"], abs=1e-5)
