"""Passages ranked by the words of content that they share with a question (Robertson and Zaragoza 2009), by gensim."""

from collections.abc import Sequence

import numpy as np
from gensim.corpora import Dictionary
from gensim.models import LuceneBM25Model
from gensim.similarities import SparseMatrixSimilarity

from .wording import content_words


class Bm25:
    """The words of passages, ready to be searched.

    Args:
        passages: their texts, one at least.
    """

    def __init__(self, passages: Sequence[str]):
        texts = [content_words(text) for text in passages]
        self.dictionary = Dictionary(texts)
        model = LuceneBM25Model(dictionary=self.dictionary)
        self.similarity = SparseMatrixSimilarity(
            model[[self.dictionary.doc2bow(words) for words in texts]],
            num_docs=len(texts),
            num_terms=len(self.dictionary),
            normalize_queries=False,
            normalize_documents=False,
        )

    def scores(self, question: str) -> np.ndarray:
        """`(passages,)`, 0 where no word is shared."""
        return self.similarity[self.dictionary.doc2bow(content_words(question))]
