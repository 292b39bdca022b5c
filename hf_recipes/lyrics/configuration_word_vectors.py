"""Configuration of classifiers over word vectors. This file travels to the Hub with the weights."""

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

POOLINGS = ("mean", "tfidf", "attention", "textcnn")


@strict
class WordVectorConfig(PreTrainedConfig):
    """Configuration of a [`WordVectorForSequenceClassification`].

    Args:
        vocab_size (`int`): words, with padding (0) and unknown words (1).
        embedding_size (`int`): of a word vector.
        pooling (`str`): how a text becomes one vector: the mean over its known words (`mean`), weighted by inverse document frequencies
            (`tfidf`) or by learned attention (`attention`); or convolutions over the sequence of words and the maximum of each
            (`textcnn`, Kim 2014).
        hidden_size (`int`): of a hidden layer before the logits, 0 for none.
        channels (`int`): textcnn: of each width.
        widths (`list`): textcnn: words that a convolution sees.
        dropout (`float`): before each dense layer.
        problem_type (`str`): `single_label_classification`, or `regression` with one label.
    """

    model_type = "word_vectors"

    vocab_size: int = 2
    embedding_size: int = 100
    pooling: str = "mean"
    hidden_size: int = 0
    channels: int = 100
    widths: list[int] | tuple[int, ...] = (2, 3, 4)
    dropout: float = 0.0
    pad_token_id: int | None = 0

    def validate_options(self):
        """Raises a `ValueError` that names the field."""
        if self.pooling not in POOLINGS:
            raise ValueError(f"pooling is {self.pooling!r}; it can be one of {', '.join(POOLINGS)}")
        if not self.widths or min(self.widths) < 1:
            raise ValueError(f"widths is {self.widths}; it needs one positive number at least")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; it is a share from 0 to below 1")


WordVectorConfig.register_for_auto_class()
