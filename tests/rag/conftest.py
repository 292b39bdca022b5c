"""A tiny embedder, and stories for it."""

from pathlib import Path

import pytest
from rag_rows import make_story, save_embedder

from hf_recipes.rag.documents import Document


@pytest.fixture(scope="session")
def embedder(tmp_path_factory) -> Path:
    return save_embedder(tmp_path_factory.mktemp("embedder") / "words", 0)


@pytest.fixture(scope="session")
def stories() -> list[Document]:
    return [make_story("first.txt", 1), make_story("second.txt", 2)]
