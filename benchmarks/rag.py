"""What an index of passages costs.

    python benchmarks/rag.py --text BOOK.txt

Seconds of indexing a book (aim: at most 10), milliseconds of a search (at most 30), seconds of loading (at most 1); a search among 100,000
clustered vectors of 384 numbers (at most 5 ms, at a recall of the ten nearest of at least 0.95); a million vectors: adding, saving, loading
mapped into memory and an exact search, each with its seconds, and the memory. Where `langchain-community`, `langchain-huggingface` and
`langchain-text-splitters` are installed: indexing and search against LangChain's usual pipeline with the same embedder and the same sizes, as
the median of alternating pairs (at most 1).
"""

import argparse
import importlib.util
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import psutil
from pairs import show

from hf_recipes import PassageIndex
from hf_recipes.rag.documents import load_documents
from hf_recipes.rag.vectors import make_vectors

PAIRS, SIZE, OVERLAP, K = 5, 500, 100, 5
DIMENSIONS, CLUSTERS, NOISE = 384, 1000, 0.5
QUESTIONS = [
    "What was found at the bottom of the jar?",
    "Who came to tea when it rained?",
    "Where did the path through the wood lead?",
    "Why could nobody sleep that night?",
    "What did they carry home with them?",
]
PEERS = ("langchain_community", "langchain_huggingface", "langchain_text_splitters")


def seconds_of(call: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    made = call()
    return time.perf_counter() - start, made


def search_milliseconds(search: Callable[[str], Any]) -> float:
    """The median over the questions, after one that is not counted."""
    search(QUESTIONS[0])
    return 1000 * statistics.median(seconds_of(lambda text=text: search(text))[0] for text in QUESTIONS * 4)


def measure_book(text: str) -> None:
    seconds, index = seconds_of(
        lambda: PassageIndex.build(load_documents(text), kind="recursive", size=SIZE, overlap=OVERLAP)
    )
    print(
        f"indexing {len(index.passages)} passages of {text}: {seconds:.1f} s with the embedder's loading (aim: at most 10)"
    )
    for method in ("dense", "bm25", "hybrid"):
        each = search_milliseconds(lambda question, method=method: index.search(question, K, method=method))
        print(f"a search, {method}: {each:.1f} ms (aim: at most 30)")
    with tempfile.TemporaryDirectory() as folder:
        index.save_pretrained(folder)
        seconds, _ = seconds_of(lambda: PassageIndex.from_pretrained(folder, embedder=index.embedder))
    print(f"loading the index: {seconds:.2f} s (aim: at most 1)")


def draw_vectors(number: int, seed: int = 0) -> np.ndarray:
    """Vectors of length one around centres, which are the same for every seed."""
    centres = np.random.default_rng(0).normal(size=(CLUSTERS, DIMENSIONS)).astype(np.float32)
    generator = np.random.default_rng((1, seed))
    vectors = centres[generator.integers(CLUSTERS, size=number)]
    vectors += NOISE * generator.normal(size=vectors.shape).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def measure_graph(number: int) -> None:
    vectors = draw_vectors(number)
    seconds, index = seconds_of(lambda: make_vectors(vectors, "HNSW32"))
    queries = draw_vectors(200, seed=1)
    each = 1000 * statistics.median(
        seconds_of(lambda query=query: index.search(query[None], 10))[0] for query in queries
    )
    _, found = index.search(queries, 10)
    _, exact = faiss.knn(queries, vectors, 10, metric=faiss.METRIC_INNER_PRODUCT)
    recall = np.mean([len(set(ours) & set(theirs)) / 10 for ours, theirs in zip(found, exact)])
    print(
        f"{number:,} vectors in a graph, made in {seconds:.0f} s: {each:.2f} ms a search (aim: at most 5) at recall@10 {recall:.3f} (aim: at "
        "least 0.95)"
    )


def measure_million(number: int) -> None:
    vectors, process = draw_vectors(number), psutil.Process()
    before = process.memory_info().rss
    seconds, index = seconds_of(lambda: make_vectors(vectors, "Flat"))
    print(f"{number:,} vectors: adding {seconds:.1f} s, {(process.memory_info().rss - before) / 1e9:.2f} GB")
    query = vectors[:1].copy()
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / "vectors.faiss")
        seconds, _ = seconds_of(lambda: faiss.write_index(index, file))
        print(f"saving {seconds:.1f} s, {Path(file).stat().st_size / 1e9:.2f} GB")
        before = process.memory_info().rss
        seconds, mapped = seconds_of(lambda: faiss.read_index(file, faiss.IO_FLAG_MMAP_IFC))
        print(f"loading {seconds:.3f} s, {(process.memory_info().rss - before) / 1e9:.2f} GB more")
        first, _ = seconds_of(lambda: mapped.search(query, 10))
        later = statistics.median(seconds_of(lambda: mapped.search(query, 10))[0] for _ in range(5))
        print(
            f"an exact search {first:.2f} s at first, {1000 * later:.0f} ms then, {(process.memory_info().rss - before) / 1e9:.2f} GB of the file "
            "in memory"
        )


def compare(text: str) -> None:
    if any(importlib.util.find_spec(name) is None for name in PEERS):
        print(f"LangChain is not installed ({', '.join(PEERS)}): not compared")
        return
    from langchain_community.vectorstores import FAISS
    from langchain_huggingface import HuggingFaceEmbeddings
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    name = "sentence-transformers/all-MiniLM-L6-v2"
    documents, ours, theirs = load_documents(text), [], []
    splitter = RecursiveCharacterTextSplitter(chunk_size=SIZE, chunk_overlap=OVERLAP)

    def index_theirs() -> Any:
        embeddings = HuggingFaceEmbeddings(model_name=name, encode_kwargs={"normalize_embeddings": True})
        return FAISS.from_texts([chunk for each in documents for chunk in splitter.split_text(each.text)], embeddings)

    def index_ours() -> PassageIndex:
        return PassageIndex.build(documents, embedder=name, size=SIZE, overlap=OVERLAP)

    index_ours(), index_theirs()
    searches = []
    for _ in range(PAIRS):
        seconds, other = seconds_of(index_theirs)
        theirs.append(seconds)
        seconds, index = seconds_of(index_ours)
        ours.append(seconds)
        their_search = search_milliseconds(lambda question, other=other: other.similarity_search(question, k=K))
        searches.append(search_milliseconds(lambda question, index=index: index.search(question, K)) / their_search)
    show("seconds of indexing / LangChain's", [a / b for a, b in zip(ours, theirs)], "at most 1")
    show("milliseconds of a search / LangChain's", searches, "at most 1")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--text", help="a book: file, folder, address or id of a data set; the vectors alone are measured without"
    )
    args = parser.parse_args()
    if args.text:
        measure_book(args.text)
        compare(args.text)
    measure_graph(100_000)
    measure_million(1_000_000)


if __name__ == "__main__":
    main()
