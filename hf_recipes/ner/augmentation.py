"""Words that are hidden in training."""

import torch
from transformers import PreTrainedTokenizerFast

from .alignment import IGNORED


class HideWords:
    """Hides words of a batch behind the tokenizer's mask, whole words and each by itself, so that a type is learned from what stands around an
    entity too and not from known names alone (word dropout: Iyyer et al. 2015; against names learned by heart: Lample et al. 2016).

    Args:
        tokenizer: of the windows, with a mask token.
        share: of the words, from 0 to 1.

    Raises:
        ValueError: when the tokenizer has no mask token.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, share: float):
        if tokenizer.mask_token_id is None:
            raise ValueError(
                f"{type(tokenizer).__name__} has no mask token to hide words behind: leave --hide_words out"
            )
        self.mask, self.share = tokenizer.mask_token_id, share
        self.special = torch.tensor(tokenizer.all_special_ids)

    def __call__(self, batch: dict[str, torch.Tensor], generator: torch.Generator) -> dict[str, torch.Tensor]:
        """A batch of `WindowCollator` with other `input_ids`; `generator` is of the processor, so that all devices hide the same words."""
        tokens = batch["input_ids"]
        # the tokens of a word are its first, which `word` tells, and those up to the next first (behind the last of a cut window, all the rest);
        # those before any are left alone
        number = (batch["word"] != IGNORED).cumsum(1)
        chosen = torch.rand(len(tokens), tokens.shape[1] + 1, generator=generator) < self.share
        chosen[:, 0] = False
        hidden = chosen.to(tokens.device).gather(1, number) & ~torch.isin(tokens, self.special.to(tokens.device))
        return batch | {"input_ids": tokens.masked_fill(hidden, self.mask)}
