"""Training of a retriever: vectors of questions near to those of the passages that answer them."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from datasets import Dataset
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.base.evaluation import BaseEvaluator
from sentence_transformers.base.sampler import BatchSamplers
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from sentence_transformers.util import mine_hard_negatives
from torch import nn
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR, PredictionOutput

from ..arguments import RecipeTrainingArguments
from ..lora import add_lora
from ..training import RecipeTrainer
from ..word_vectors import train_vectors
from ..words import split_words
from .ranking import RankingTest, measure_ranks, rank_by_vectors

STATE_FILE = "state.safetensors"  # in a checkpoint: all weights as the training has them
LEAST_COUNT = 2  # of a word that has a vector: names are rare, and what questions ask for
NEAREST = 30  # a hard negative is among so many passages
MARGIN = 0.05  # and by this share of the right one's likeness less like the question


@dataclass
class RetrieverTrainingArguments(RecipeTrainingArguments, SentenceTransformerTrainingArguments):
    """`RecipeTrainingArguments` with those of sentence-transformers. Passages of a batch are all different, as its loss needs it."""

    batch_sampler: BatchSamplers = field(
        default=BatchSamplers.NO_DUPLICATES, metadata={"help": "Which questions share a batch."}
    )


class WholeCheckpoints(SentenceTransformerTrainer):
    """Checkpoints hold all weights as they are, low-rank updates included, and no second card is made."""

    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        pass

    def _save(self, output_dir: str | None = None, state_dict: dict | None = None) -> None:
        super()._save(output_dir, state_dict)
        folder = Path(output_dir or self.args.output_dir)
        if folder.name.startswith(PREFIX_CHECKPOINT_DIR):
            weights = {name: value.contiguous() for name, value in self.model.state_dict().items()}
            safetensors.torch.save_file(weights, folder / STATE_FILE)

    def _load_from_checkpoint(self, checkpoint: str, model: nn.Module | None = None) -> None:
        self.model.load_state_dict(safetensors.torch.load_file(Path(checkpoint) / STATE_FILE))


class RetrieverTrainer(RecipeTrainer, WholeCheckpoints):
    """A `RecipeTrainer` of models of sentence-transformers.

    The loss takes the other passages of a batch as wrong ones (Henderson et al. 2017), beside hard negatives where the data have them.
    Validation and test rank the right passage among all.

    Args:
        model: what is trained.
        validation: instead of an `eval_dataset`.
        max_length: tokens of a text in the training; as many as the model reads where None. What is validated and saved reads as many as
            before.
    """

    def __init__(self, *, model: SentenceTransformer, validation: RankingTest, max_length: int | None = None, **kwargs):
        super().__init__(
            model=model, loss=MultipleNegativesRankingLoss(model), evaluator=RankEvaluator(validation), **kwargs
        )
        self.max_length, self.whole_length = max_length, model.max_seq_length

    def train(self, *args, **kwargs):
        with self.reading(self.max_length):
            return super().train(*args, **kwargs)

    def evaluate(self, *args, **kwargs):
        with self.reading(self.whole_length):
            return super().evaluate(*args, **kwargs)

    @contextlib.contextmanager
    def reading(self, length: int | None) -> Iterator[None]:
        """The model reads so many tokens of a text, where the training reads fewer than it can."""
        if self.max_length is None:
            yield
            return
        before, self.model.max_seq_length = self.model.max_seq_length, length
        try:
            yield
        finally:
            self.model.max_seq_length = before

    def model_inputs(self, batch: dict) -> dict:
        return batch  # the loss takes the columns apart

    def test(self, dataset: RankingTest) -> PredictionOutput:
        """Rank once with the saved model, reloaded from the output folder, in fp32; `predictions` has the `rank` of each question."""
        model = SentenceTransformer(self.args.output_dir, device=str(self.args.device)).float()
        self.model = self.model_wrapped = model.eval()
        ranks = rank_by_vectors(dataset, model)
        metrics = {f"test_{name}": value for name, value in measure_ranks(ranks).items()}
        return PredictionOutput({"rank": ranks}, None, metrics)


class RankEvaluator(BaseEvaluator):
    """What a training measures on the validation part."""

    def __init__(self, test: RankingTest):
        super().__init__()
        self.ranking, self.primary_metric = test, "mrr"

    def __call__(
        self, model: SentenceTransformer, output_path: str | None = None, epoch: int = -1, steps: int = -1
    ) -> dict[str, float]:
        return measure_ranks(rank_by_vectors(self.ranking, model))


def start_from_words(pairs: Dataset, size: int, seed: int) -> SentenceTransformer:
    """A model whose vector of a text is the mean of its words' vectors, which are trained on the questions and on each passage once.

    Raises:
        ValueError: when no word is frequent enough.
    """
    texts = [*pairs["question"], *dict.fromkeys(pairs["passage"])]
    return train_vectors(split_words(texts), size=size, seed=seed, min_count=LEAST_COUNT).to_sentence_transformer()


def update_by_lora(model: SentenceTransformer, rank: int) -> None:
    """Train low-rank updates of the encoder's linear layers alone.

    Raises:
        ValueError: when the model has no encoder of transformers.
    """
    encoder = getattr(model[0], "auto_model", None)
    if encoder is None:
        raise ValueError("--lora_rank: a model of word vectors has no layers to update; leave the option out")
    layers = [
        name for name, module in encoder.named_modules() if isinstance(module, nn.Linear) and "pooler" not in name
    ]
    add_lora(encoder, rank, layers)


def add_hard_negatives(pairs: Dataset, model: SentenceTransformer, number: int, folder: Path) -> Dataset:
    """Columns `negative_1` ... of passages that the model holds for near, and that are not the right one.

    Those that are nearly as near as the right passage are left out, since they may be right as well (Moreira et al. 2024); a question
    with too few others is left out.

    Args:
        pairs: columns `question` and `passage`.
        model: what looks for them.
        number: of negatives for each question.
        folder: keeps the vectors, for a training that is resumed.

    Raises:
        ValueError: when no question is left.
    """
    with torch.inference_mode():
        found = mine_hard_negatives(
            pairs,
            model,
            anchor_column_name="question",
            positive_column_name="passage",
            range_max=NEAREST + number,
            relative_margin=MARGIN,
            num_negatives=number,
            output_format="n-tuple",
            verbose=False,
            cache_folder=str(folder),
        )
    if not len(found):
        raise ValueError(f"--hard_negatives {number}: no question has so many wrong passages that are near; give fewer")
    return found
