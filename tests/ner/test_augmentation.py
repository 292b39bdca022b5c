import pytest
import torch

from hf_recipes.ner.alignment import IGNORED
from hf_recipes.ner.augmentation import HideWords
from hf_recipes.ner.windows import WindowCollator, make_windows

from .test_windows import TAGS, make_split


@pytest.fixture
def batch(letters):
    windows = make_windows(make_split(), TAGS, letters, max_length=20, stride=6)
    return WindowCollator(letters)(list(windows))


def hide(batch, letters, share, seed=0):
    before = batch["input_ids"].clone()
    after = HideWords(letters, share)(batch, torch.Generator().manual_seed(seed))
    assert torch.equal(batch["input_ids"], before)
    assert all(torch.equal(after[name], batch[name]) for name in batch if name != "input_ids")
    changed = after["input_ids"] != before
    assert set(after["input_ids"][changed].tolist()) <= {letters.mask_token_id}
    return changed


def test_words_are_hidden_whole(batch, letters):
    """Each word has three tokens, which share its fate; special tokens, padding and words of the window before are seen."""
    special = torch.isin(batch["input_ids"], torch.tensor(letters.all_special_ids))
    owned = (batch["word"] != IGNORED).cumsum(1) > 0
    assert torch.equal(hide(batch, letters, 1.0), owned & ~special)
    half = hide(batch, letters, 0.5)
    firsts = batch["word"] != IGNORED
    assert 0.4 < half[firsts].float().mean() < 0.6
    for row, place in firsts.nonzero().tolist():
        assert len(set(half[row, place : place + 3].tolist())) == 1


def test_the_generator_decides(batch, letters):
    assert torch.equal(hide(batch, letters, 0.5), hide(batch, letters, 0.5))
    assert not torch.equal(hide(batch, letters, 0.5), hide(batch, letters, 0.5, seed=1))


def test_a_tokenizer_without_a_mask_token_is_refused(letters):
    mask, letters.mask_token = letters.mask_token, None
    try:
        with pytest.raises(ValueError, match="has no mask token to hide words behind: leave --hide_words out"):
            HideWords(letters, 0.1)
    finally:
        letters.mask_token = mask
