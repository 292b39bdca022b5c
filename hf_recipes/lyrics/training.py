"""What a song classifier is trained and judged on, and encoders that are fine-tuned as one."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from datasets import Dataset, DatasetDict
from sentence_transformers import SentenceTransformer
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from ..pretrained import errors_only, find_head, longest_window
from ..word_vectors import WordVectors, mean_vectors
from .metrics import ClassScores, ValueScores


def label_options(names: list[str] | None, column: str) -> dict[str, Any]:
    """What a config says of the labels: classes of these names, or one value."""
    labels = names or [column]
    return {
        "problem_type": "single_label_classification" if names else "regression",
        "id2label": dict(enumerate(labels)),
        "label2id": {name: number for number, name in enumerate(labels)},
    }


def standardize(
    known: WordVectors, documents: Sequence[Sequence[str]], pooling: str, weights: np.ndarray
) -> np.ndarray:
    """Word vectors, moved and scaled by number so that what the model makes of the documents has mean 0 and deviation 1.

    Word2Vec leaves vectors of any size, means of them differ by hundredths, and a head that learns at one rate would tell how large they are
    and not how good. Means (`mean`, `tfidf`) move and scale as their vectors do; for `attention` and `textcnn`, which look at single words, it
    is the words of the documents that are brought to that scale.

    Args:
        known: the words that have vectors.
        documents: words of each.
        pooling: of the model.
        weights: `(words,)`, of `tfidf`.
    """
    if pooling in ("mean", "tfidf"):
        seen, shares = mean_vectors(documents, known, weights if pooling == "tfidf" else None), None
    else:
        seen, shares = known.vectors, known.counts
    mean = np.average(seen, axis=0, weights=shares)
    deviation = np.sqrt(np.average((seen - mean) ** 2, axis=0, weights=shares))
    return ((known.vectors - mean) / np.maximum(deviation, 1e-6)).astype(np.float32)


def begin_at_mean(model: PreTrainedModel, labels: Sequence[float]) -> None:
    """The answers of a regression begin at the mean of the training labels, all of them: drawn weights of the last layer would move them
    by more than values differ, and whatever is below it would first learn to undo that."""
    _, head = find_head(model)
    with torch.no_grad():
        head.weight.zero_()
        head.bias.fill_(float(np.mean(labels)))


def load_encoder(source: str, labels: dict[str, Any]) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """An encoder whose last layer is new, and its tokenizer.

    Args:
        source: id or folder.
        labels: of `label_options`.

    Raises:
        OSError: when there is no such encoder.
        ValueError: when weights of the encoder itself are missing.
    """
    with errors_only():
        model, info = AutoModelForSequenceClassification.from_pretrained(
            source, output_loading_info=True, ignore_mismatched_sizes=True, **labels
        )
    inside = f"{model.base_model_prefix}."
    missing = sorted(name for name in info["missing_keys"] if name.startswith(inside) and "pooler" not in name)
    if missing:
        raise ValueError(f"{source} has no weights for {', '.join(missing[:4])}, which would start at random")
    find_head(model)[1].reset_parameters()  # one of the right size may be there, of other labels
    tokenizer = AutoTokenizer.from_pretrained(source)
    tokenizer.model_max_length = longest_window(model.config, tokenizer)
    return model, tokenizer


def number_words(split: Dataset, tokenizer: PreTrainedTokenizerBase) -> Dataset:
    """The column `input_ids`, and `place`, the row."""
    return split.map(
        lambda rows, places: {"input_ids": tokenizer(rows["text"], truncation=True)["input_ids"], "place": places},
        batched=True,
        with_indices=True,
        desc="Numbers of words",
    )


class SongCollator:
    """Pads the songs of a batch to the longest; one without words is one unknown word."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, values: bool):
        self.tokenizer, self.kind = tokenizer, torch.float32 if values else torch.long

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        ids = [row["input_ids"] or [self.tokenizer.unk_token_id] for row in rows]
        batch = dict(self.tokenizer.pad({"input_ids": ids}, padding_side="right", return_tensors="pt"))
        batch["labels"] = torch.tensor([row["label"] for row in rows], dtype=self.kind)
        batch["index"] = torch.tensor([row["place"] for row in rows])
        return batch


def reduce_batch(batch: dict, outputs: Any) -> tuple[dict, dict]:
    return {"logits": outputs["logits"].float()}, {"label": batch["labels"], "index": batch["index"]}


def make_compute(values: bool) -> Callable[[Any], dict[str, float]]:
    """A function from rows of `reduce_batch` to the scores of classes, or of values."""

    def compute(evaluation: Any) -> dict[str, float]:
        logits, labels = evaluation.predictions["logits"], evaluation.label_ids["label"]
        if values:
            scores = ValueScores().compute(predictions=logits[:, 0], references=labels)
            return scores | {"loss": scores["rmse"] ** 2}
        scores = ClassScores().compute(predictions=logits, references=labels.astype(int))
        return scores | {"loss": scores["log_loss"]}

    return compute


def encode_songs(splits: DatasetDict, encoder: str) -> dict[str, np.ndarray]:
    """Vectors `(songs, size)` of the training and the test songs, by a sentence encoder as it is."""
    model = SentenceTransformer(encoder)
    return {name: model.encode(splits[name]["text"][:], batch_size=64) for name in ("train", "test")}
