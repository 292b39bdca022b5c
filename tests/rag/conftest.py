"""A tiny embedder, stories for it, and untrained readers."""

from pathlib import Path

import pytest
import torch
from rag_rows import make_story, save_embedder
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    BertConfig,
    BertForQuestionAnswering,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

from hf_recipes.rag.documents import Document


@pytest.fixture(scope="session")
def embedder(tmp_path_factory) -> Path:
    return save_embedder(tmp_path_factory.mktemp("embedder") / "words", 0)


@pytest.fixture(scope="session")
def stories() -> list[Document]:
    return [make_story("first.txt", 1), make_story("second.txt", 2)]


@pytest.fixture(scope="session")
def letters() -> PreTrainedTokenizerFast:
    """A tokenizer of bytes with the special tokens of several models."""
    special = ["<pad>", "</s>", "<unk>"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({name: n for n, name in enumerate([*special, *alphabet])}, [], unk_token="<unk>"))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        cls_token="</s>",
        sep_token="</s>",
    )


@pytest.fixture(scope="session")
def readers(letters, tmp_path_factory) -> dict[str, str]:
    """Untrained models of three kinds."""
    torch.manual_seed(0)
    folder, size = tmp_path_factory.mktemp("readers"), len(letters)
    small = {
        "vocab_size": size,
        "hidden_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 32,
    }
    made = {
        "extractive": BertForQuestionAnswering(BertConfig(**small, max_position_embeddings=512)),
        "chat": LlamaForCausalLM(LlamaConfig(**small, max_position_embeddings=4096, eos_token_id=1, pad_token_id=0)),
        "seq2seq": T5ForConditionalGeneration(
            T5Config(vocab_size=size, d_model=32, d_kv=16, d_ff=32, num_layers=1, num_heads=2, decoder_start_token_id=0)
        ),
    }
    for name, model in made.items():
        model.save_pretrained(folder / name)
        letters.chat_template = (
            "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>" if name == "chat" else None
        )
        letters.save_pretrained(folder / name)
    return {name: str(folder / name) for name in made}
