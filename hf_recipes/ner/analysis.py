"""Which entities a tagger finds and which it does not: tables and figures for its card. No sentence of the data is shown."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from transformers import PreTrainedModel

from ..figures import ACCENT, INK, new_figure
from ..model_card import Report, Section
from .data import LoadedSentences
from .decoding import name_scores, scheme_of
from .examples import describe_sentences, examples_of_errors, read_sentences
from .head import tags_of
from .labels import LabelMap
from .metrics import (
    ERRORS,
    EntityScores,
    count_errors,
    count_matches,
    describe_examples,
    entities_of,
    entity_f1,
    f1_interval,
    f1_of,
    find_errors,
    scores_by,
)
from .mismatch import BY_NAME, BY_NUMBER, IN_IOB1, describe_labels, names_by_number, readings_of
from .schemes import Entity
from .stock import find_by_pipeline, in_characters
from .windows import score_sentences, scores_of, tag_sentences

LENGTHS = ((1, 1, "1 word"), (2, 2, "2 words"), (3, 3, "3 words"), (4, None, "4 words or more"))
BY_PIPELINE = 300  # sentences of the test that the stock pipeline reads too
SENTENCES = ((1, 10, "up to 10 words"), (11, 25, "11 to 25 words"), (26, None, "26 words or more"))


def analyse(
    trainer,
    predictions,
    data: LoadedSentences,
    strategy: str,
    label_map: LabelMap | None,
    source: PreTrainedModel | None = None,
    mapped_by: int = 0,
    joined: bool = False,
    **windows: int,
) -> Report:
    """The report of a test.

    Args:
        trainer: of the run.
        predictions: of `trainer.predict(windows of the test)`: rows of `reduce_batch`.
        data: the sentences.
        strategy: how the head was made.
        label_map: that it was made by, or might have been, if any.
        source: a tagger whose own answers to the test are to be explained, under each way to read them.
        mapped_by: training sentences whose tags the map was suggested from.
        joined: whether sentences were read together.
        windows: `max_length` and `stride` for its answers.
    """
    test, names = data.splits["test"], tags_of(trainer.model)
    words, tags = list(test["words"]), list(test["tags"])
    scores, scheme = scores_of(predictions, test, names), scheme_of(trainer.model)
    gold, ours = data.entities("test"), entities_of(name_scores(scores, names, scheme))
    seen, counts = surface_forms(data), count_errors(gold, ours)
    matches, history = count_matches(gold, ours), history_of(trainer)
    low, high = f1_interval(matches)
    report = Report(
        measured={
            "train_examples": mapped_by if strategy == "zero_shot" else len(data.splits["train"]),
            "f1_low": low,
            "f1_high": high,
            "likeliest_f1": entity_f1(gold, entities_of(name_scores(scores, names, None))),
            **score_pipeline(trainer.model, trainer.processing_class, words, gold, matches),
            **({} if strategy == "zero_shot" else count_repeats(data, matches)),
            "errors": counts,
            "history": history,
        }
    )
    if joined:
        alone = entities_of(tag_sentences(trainer.model, trainer.processing_class, words, **windows))
        report.measured["f1_of_single_sentences"] = entity_f1(gold, alone)
    if history["epoch"][:1] == [0]:
        report.measured["loss_at_start"] = history["loss"][0]
    explained, counted = [], {"model": matches}
    if strategy == "mismatched":
        by_number = entities_of(name_scores(scores, names_by_number(names, data.tags), "IOB2"))
        report.measured["f1_by_number"] = entity_f1(gold, by_number)
        explained.append(
            Section(
                "The labels mean what the data call by their number",
                f"F1 is {report.measured['f1_by_number']:.3f} where label k is read as the data's tag k, as it was trained, and "
                f"{f1_of(*matches.sum(0)):.3f} by the names that the model's config gives it, which is what everybody who uses it gets.",
            )
        )
    if source is not None:
        of_source, device = tags_of(source), trainer.model.device
        of_words = score_sentences(source.to(device).eval(), trainer.processing_class, words, **windows)
        readings = readings_of(of_words, of_source, data.tags, label_map, scheme_of(source))
        report.baselines = {
            name: EntityScores().compute(predictions=each, references=tags) for name, each in readings.items()
        }
        counted |= {name: count_matches(gold, entities_of(each)) for name, each in readings.items() if name != IN_IOB1}
        if strategy == "zero_shot":
            report.measured |= {f"raw_{name}": report.baselines[BY_NAME][name] for name in ("f1", "untyped_f1")}
            report.measured["f1_by_number"] = report.baselines[BY_NUMBER]["f1"]
        rows = describe_labels(of_words, of_source, data.tags, tags)
        explained.append(Section("What each label of the source is given to", "Words of the test.", rows))
    report.measured["examples"] = describe_examples(counted)
    of_our_own = read_sentences(trainer.model, trainer.processing_class, data.types)
    report.sections = [
        Section("How sure the F1 is, and what the stock pipeline finds", describe_f1(report.measured, scheme)),
        *([describe_map(label_map, data)] if label_map else []),
        *explained,
        Section("By type", "", table(scores_by(gold, ours, lambda _, entity: entity.type), "type")),
        describe_errors(counts, gold, ours, examples_of_errors(of_our_own)),
        *(
            [
                Section(
                    "Sentences of our own",
                    "What it makes of sentences that are in no data set.",
                    describe_sentences(of_our_own),
                )
            ]
            if of_our_own
            else []
        ),
        Section(
            "By length of the entity",
            "",
            table(
                scores_by(gold, ours, lambda _, entity: bucket(entity.end - entity.start, LENGTHS)), "entity", LENGTHS
            ),
        ),
        Section(
            "Seen in the training or not",
            "By how often the words of the entity, as they are written but in lower case, are an entity of the training sentences.",
            table(
                scores_by(gold, ours, lambda row, entity: describe_frequency(seen[form_of(words[row], entity)])),
                "entity",
                [(0, 0, describe_frequency(number)) for number in (0, 1, 9)],
            ),
        ),
        Section(
            "By length of the sentence",
            "",
            table(scores_by(gold, ours, lambda row, _: bucket(len(words[row]), SENTENCES)), "sentence", SENTENCES),
        ),
    ]
    return report


def count_repeats(data: LoadedSentences, matches: np.ndarray) -> dict[str, float]:
    """How many sentences of the test are training sentences word for word, and F1 on the others.

    Args:
        data: the sentences.
        matches: of `count_matches`, of the test.
    """
    known = set(map(tuple, data.splits["train"]["words"]))
    new = np.array([tuple(words) not in known for words in data.splits["test"]["words"]])
    return {"repeated_sentences": int((~new).sum()), "f1_of_new_sentences": f1_of(*matches[new].sum(0))}


def score_pipeline(
    model: PreTrainedModel,
    tokenizer: Any,
    words: Sequence[Sequence[str]],
    gold: Sequence[Sequence[Entity]],
    matches: np.ndarray,
) -> dict[str, float]:
    """F1 of the stock pipeline on the first `BY_PIPELINE` sentences, and that of the answers here on the same ones."""
    some = min(len(words), BY_PIPELINE)
    found = find_by_pipeline(model, tokenizer, words[:some])
    return {
        "pipeline_sentences": some,
        "pipeline_f1": entity_f1([in_characters(*each) for each in zip(gold[:some], words)], found),
        "f1_beside_pipeline": f1_of(*matches[:some].sum(0)),
    }


def describe_f1(measured: dict[str, Any], scheme: str | None) -> str:
    text = f"95 % interval, sentences drawn with replacement: {measured['f1_low']:.3f} to {measured['f1_high']:.3f}."
    if scheme:
        text += (
            " Answers are the likeliest tags that can follow each other; of the likeliest tag of each word by itself F1 is "
            f"{measured['likeliest_f1']:.4f}."
        )
    text += (
        f" The stock pipeline, which takes the likeliest label of each token and parts words at their hyphens and points, has an F1 of "
        f"{measured['pipeline_f1']:.3f} on the first {measured['pipeline_sentences']:,} sentences of the test, where the answers here have "
        f"{measured['f1_beside_pipeline']:.3f}."
    )
    if measured.get("repeated_sentences"):
        text += (
            f" Of the sentences of the test {measured['repeated_sentences']:,} are training sentences as well, word for word; F1 of the "
            f"others is {measured['f1_of_new_sentences']:.4f}."
        )
    if "f1_of_single_sentences" in measured:
        text += (
            " Sentences were read together with those around them; where each is read by itself, F1 is "
            f"{measured['f1_of_single_sentences']:.4f}."
        )
    return text


def history_of(trainer) -> dict[str, list[float]]:
    """F1 and loss on the validation sentences, by whole epoch; from epoch 0 where the run evaluates before it learns."""
    rows = {row["epoch"]: row for row in trainer.state.log_history if "eval_f1" in row}
    rows = {
        epoch: row for epoch, row in rows.items() if abs(epoch - round(epoch)) < 1e-6
    }  # not where a run was resumed
    return {
        "epoch": list(rows),
        "f1": [row["eval_f1"] for row in rows.values()],
        "loss": [row.get("eval_loss") for row in rows.values()],
    }


def describe_map(label_map: LabelMap, data: LoadedSentences) -> Section:
    """Which types become which, and how many entities of the data each stands for."""
    rows = label_map.coverage(data.count_entities("train") + data.count_entities("test"))
    text = f"{label_map.describe()}. Entities are those of the training and the test."
    return Section("The map of the label spaces", text, rows)


def describe_errors(
    counts: dict[str, int],
    gold: Sequence[Sequence[Entity]],
    ours: Sequence[Sequence[Entity]],
    examples: dict[str, str],
) -> Section:
    total = max(sum(counts.values()), 1)
    confused = Counter(
        (wanted.type, answer.type)
        for pair in zip(gold, ours)
        for name, wanted, answer in find_errors(*pair)
        if name == "wrong type"
    )
    often = ", ".join(f"{wanted} as {answer} ({number})" for (wanted, answer), number in confused.most_common(5))
    rows = [
        {
            "error": name,
            "number": counts[name],
            "share": f"{counts[name] / total:.0%}",
            "such as, in sentences of our own": examples.get(name, ""),
        }
        for name in ERRORS
    ]
    text = f"Types that are taken for others most often, their span being right: {often}." if often else ""
    return Section("Errors", text, rows, figure=plot_errors(counts))


def plot_errors(counts: dict[str, int]):
    figure, axes = new_figure(1, 1, 5.0, 2.2)
    axis = axes[0, 0]
    axis.barh(list(counts)[::-1], list(counts.values())[::-1], color=ACCENT, height=0.6)
    for place, number in enumerate(list(counts.values())[::-1]):
        axis.annotate(str(number), (number, place), xytext=(4, -3), textcoords="offset points", size=8, color=INK)
    axis.set_xlabel("entities")
    axis.margins(x=0.1)
    return figure


def table(
    scores: dict[Any, dict[str, float]], name: str, order: Sequence[tuple[Any, Any, str]] | None = None
) -> list[dict[str, Any]]:
    """A row for each group, in the given order or the commonest first."""
    groups = [label for *_, label in order] if order else sorted(scores, key=lambda group: -scores[group]["gold"])
    return [
        {
            name: group,
            "F1": scores[group]["f1"],
            "precision": scores[group]["precision"],
            "recall": scores[group]["recall"],
            "in the test": scores[group]["gold"],
            "predicted": scores[group]["predicted"],
        }
        for group in groups
        if group in scores
    ]


def bucket(number: int, buckets: Sequence[tuple[int, int | None, str]]) -> str:
    return next(label for low, high, label in buckets if low <= number and (high is None or number <= high))


def form_of(words: Sequence[str], entity: Entity) -> str:
    return " ".join(words[entity.start : entity.end]).lower()


def surface_forms(data: LoadedSentences) -> Counter[str]:
    """How often each form is an entity of the training, of any type."""
    return Counter(
        form_of(words, entity)
        for words, entities in zip(data.splits["train"]["words"], data.entities("train"))
        for entity in entities
    )


def describe_frequency(number: int) -> str:
    return "never" if number == 0 else "1 to 4 times" if number < 5 else "5 times or more"
