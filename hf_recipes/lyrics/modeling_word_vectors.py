"""Classification and regression of texts by word vectors. This file travels to the Hub with the weights."""

import torch
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import SequenceClassifierOutput

from .configuration_word_vectors import WordVectorConfig

UNKNOWN = 1  # number of all words that have no vector; 0 is padding


class WordVectorForSequenceClassification(PreTrainedModel):
    """One vector of a text, from those of its words, and a small head.

    Padding and unknown words count for nothing; a text of nothing else is pooled from zeros, so that all such texts get the same logits.
    """

    config_class = WordVectorConfig
    main_input_name = "input_ids"
    base_model_prefix = "words"
    accepts_loss_kwargs = False

    def __init__(self, config: WordVectorConfig):
        super().__init__(config)
        size = config.embedding_size
        self.embeddings = nn.Embedding(config.vocab_size, size, padding_idx=0)
        self.register_buffer("weights", torch.ones(config.vocab_size))  # inverse document frequencies, of `tfidf`
        if config.pooling == "attention":
            self.attention = nn.Sequential(nn.Linear(size, size), nn.Tanh(), nn.Linear(size, 1, bias=False))
        if config.pooling == "textcnn":
            self.convolutions = nn.ModuleList(nn.Conv1d(size, config.channels, width) for width in config.widths)
            size = config.channels * len(config.widths)
        self.dropout = nn.Dropout(config.dropout)
        self.hidden = nn.Linear(size, config.hidden_size) if config.hidden_size else None
        self.head = nn.Linear(config.hidden_size or size, config.num_labels)
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """As torch does, which transformers' own would not."""
        if isinstance(module, nn.Embedding):
            init.normal_(module.weight, std=0.1)
            init.zeros_(module.weight[:2])
        elif isinstance(module, (nn.Linear, nn.Conv1d)):
            init.kaiming_uniform_(module.weight, a=5**0.5)
            if module.bias is not None:
                bound = module.weight[0].numel() ** -0.5
                init.uniform_(module.bias, -bound, bound)
        elif module is self:
            init.ones_(self.weights)

    @torch.no_grad()
    def set_vectors(self, vectors: torch.Tensor, weights: torch.Tensor) -> None:
        """Set the vectors `(words, size)` of the vocabulary and the weights `(words,)`."""
        self.embeddings.weight[:2] = 0
        self.embeddings.weight[2:] = vectors
        self.weights[2:] = weights

    def get_input_embeddings(self) -> nn.Embedding:
        return self.embeddings

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
    ) -> SequenceClassifierOutput:
        """
        Args:
            input_ids: `(texts, words)`.
            attention_mask: `(texts, words)`, 0 at padding; found by `input_ids` if not given.
            labels: `(texts,)`, numbers of classes, or values of a regression.
        """
        inside = input_ids > 0 if attention_mask is None else attention_mask.bool()
        known = inside & (input_ids > UNKNOWN)
        vectors = self.embeddings(input_ids) * known[..., None]
        if self.config.pooling == "textcnn":
            pooled = self.convolve(vectors, inside.sum(1))
        else:
            pooled = self.average(vectors, known, input_ids)
        if self.hidden is not None:
            pooled = F.relu(self.hidden(self.dropout(pooled)))
        logits = self.head(self.dropout(pooled))
        loss = None
        if labels is not None:
            regression = self.config.problem_type == "regression"
            loss = F.mse_loss(logits[:, 0].float(), labels.float()) if regression else F.cross_entropy(logits, labels)
        return SequenceClassifierOutput(loss=loss, logits=logits)

    def average(self, vectors: torch.Tensor, known: torch.Tensor, input_ids: torch.Tensor) -> torch.Tensor:
        """`(texts, size)` from the vectors of words `(texts, words, size)`, of which those that are `known` count."""
        if self.config.pooling == "attention":
            scores = self.attention(vectors)[..., 0].float().masked_fill(~known, torch.finfo(torch.float32).min)
            shares = scores.softmax(1) * known
        else:
            shares = known.to(vectors.dtype) * (self.weights[input_ids] if self.config.pooling == "tfidf" else 1.0)
        return (shares[..., None] * vectors).sum(1) / shares.sum(1, keepdim=True).clamp(min=1e-9)

    def convolve(self, vectors: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """`(texts, channels of all widths)`: the maximum of each convolution over the places of a text, padding left out."""
        shortest = max(self.config.widths)
        sequence = F.pad(vectors.transpose(1, 2), (0, max(0, shortest - vectors.shape[1])))
        maxima = []
        for width, convolution in zip(self.config.widths, self.convolutions):
            found = convolution(sequence)
            # a text shorter than the width has one place, which padding fills up
            places = (lengths - width + 1).clamp(min=1)
            beyond = torch.arange(found.shape[2], device=found.device) >= places[:, None]
            maxima.append(found.masked_fill(beyond[:, None], -torch.inf).amax(2))
        return F.relu(torch.cat(maxima, 1))


WordVectorForSequenceClassification.register_for_auto_class("AutoModelForSequenceClassification")
