"""Vectors of passages in FAISS: exact up to a number of them, in a graph beyond it."""

from collections.abc import Collection

import faiss
import numpy as np

EXACT_UP_TO = 50_000  # passages; more are searched in a graph (Malkov and Yashunin 2018, HNSW)
GRAPH, BREADTH = "HNSW32", 128  # neighbours of a vector, and how many candidates a search of the graph keeps


def choose_factory(passages: int) -> str:
    """A string of FAISS."""
    return "Flat" if passages <= EXACT_UP_TO else GRAPH


def make_vectors(vectors: np.ndarray, factory: str) -> faiss.Index:
    index = faiss.index_factory(vectors.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
    graph = faiss.downcast_index(index)
    if isinstance(graph, faiss.IndexHNSW):
        graph.hnsw.efConstruction, graph.hnsw.efSearch = 2 * BREADTH, BREADTH
    if not index.is_trained:
        index.train(vectors)
    index.add(vectors)
    return index


def find_nearest(
    index: faiss.Index, query: np.ndarray, number: int, hidden: Collection[int] = ()
) -> list[tuple[int, float]]:
    """Rows and inner products of the nearest vectors that are not `hidden`, the best first."""
    parameters = None
    if hidden:
        visible = faiss.IDSelectorNot(faiss.IDSelectorBatch(sorted(hidden)))
        graph = isinstance(faiss.downcast_index(index), faiss.IndexHNSW)
        parameters = (
            faiss.SearchParametersHNSW(sel=visible, efSearch=BREADTH) if graph else faiss.SearchParameters(sel=visible)
        )
    scores, rows = index.search(query[None], min(number, index.ntotal), params=parameters)
    return [(int(row), float(score)) for row, score in zip(rows[0], scores[0]) if row >= 0]


def measure_recall(index: faiss.Index, vectors: np.ndarray, queries: int = 200, nearest: int = 10) -> float:
    """Share of the exact nearest passages of some passages that a search finds; 1 for an exact index."""
    if isinstance(faiss.downcast_index(index), faiss.IndexFlat):
        return 1.0
    drawn = vectors[np.random.default_rng(0).permutation(len(vectors))[:queries]]
    nearest = min(nearest, len(vectors))
    _, found = index.search(drawn, nearest)
    _, exact = faiss.knn(drawn, vectors, nearest, metric=faiss.METRIC_INNER_PRODUCT)
    return float(np.mean([len(set(ours) & set(theirs)) / nearest for ours, theirs in zip(found, exact)]))
