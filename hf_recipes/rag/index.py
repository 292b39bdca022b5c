"""Passages of documents, found by meaning (vectors in FAISS), by words (BM25), or by both."""

import functools
import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import faiss
import numpy as np
from datasets import Dataset, Features, Value, concatenate_datasets
from datasets.exceptions import DatasetGenerationError
from huggingface_hub import ModelCardData, snapshot_download
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from ..checkpoints import write_json
from ..model_card import UNNAMED, markdown_table
from ..publishing import publish_folder
from .bm25 import Bm25
from .chunking import choose_sizes, cut, make_chunker
from .documents import Document
from .fusion import RANK_CONSTANT, diversify, rank
from .vectors import choose_factory, find_nearest, make_vectors, measure_recall

logger = logging.getLogger(__name__)

PASSAGES_FILE, VECTORS_FILE, CONFIG_FILE = "passages.parquet", "vectors.faiss", "config.json"
TABLE = Features(
    {
        "document": Value("string"),
        "section": Value("string"),
        "start": Value("int64"),
        "end": Value("int64"),
        "text": Value("string"),
    }
)
PROBE = "Who lived in the house at the edge of the forest?"  # its vector tells embedders apart
METHODS = ("dense", "bm25", "hybrid")
Rerank = Callable[[str, list[str]], Sequence[float]]


class Hit(NamedTuple):
    """A passage that was found: `text` is what stands from `start` to `end` in the document.

    Args:
        row: in the index.
        score: of the last stage, by which hits are ordered, the best first.
        stages: the score of each stage.
    """

    text: str
    document: str
    section: str
    start: int
    end: int
    row: int
    score: float
    stages: dict[str, float]


class PassageIndex:
    """Passages with their vectors.

    Args:
        passages: rows of `TABLE`.
        vectors: of FAISS, inner products of vectors of length one, a row for each passage.
        embedder: gives vectors of passages and questions, with its own prompts for each where it has them.
        config: `embedder` (its id or folder), `revision`, `chunking` (`kind`, `size`, `overlap`), `titles` (whether passages are searched with
            the titles of their sections), `documents` (name to digest), `factory` (of FAISS), `asked` (of `remember`) and `recall` (share of the exact ten nearest that the graph finds; 1 for an exact index).
    """

    def __init__(self, passages: Dataset, vectors: faiss.Index, embedder: SentenceTransformer, config: dict[str, Any]):
        self.passages, self.vectors, self.embedder, self.config = passages, vectors, embedder, config
        self.hidden: set[int] = set()  # rows of deleted documents, until the index is saved

    # -- making -----------------------------------------------------------------------------------
    @classmethod
    def build(
        cls,
        documents: Sequence[Document],
        *,
        embedder: str = "sentence-transformers/all-MiniLM-L6-v2",
        revision: str | None = None,
        kind: str = "recursive",
        size: int | None = None,
        overlap: int | None = None,
        titles: bool = False,
        factory: str | None = None,
        device: str | None = None,
    ) -> "PassageIndex":
        """Cut documents into passages and embed them.

        Args:
            documents: of different names.
            embedder, revision: id or folder of a model of sentence-transformers, and its branch, tag or commit.
            kind, size, overlap: of `make_chunker`; sizes that are usual for the kind if not given.
            titles: put the title of its section before each passage where it is searched; what is found and read is the passage alone.
            factory: a string of FAISS such as `Flat` or `HNSW32`; chosen by the number of passages if not given.
            device: where the embedder runs.

        Raises:
            ValueError: without documents, for two of one name, and for a chunking that cannot be.
        """
        size, overlap = choose_sizes(kind, size, overlap)
        make_chunker(kind, size, overlap)  # what cannot be is refused before anything is loaded
        model = SentenceTransformer(embedder, revision=revision, device=device)
        config = {
            "embedder": embedder,
            "revision": revision or commit_of(model),
            "chunking": {"kind": kind, "size": size, "overlap": overlap},
            "titles": titles,
            "documents": {},
            "recall": 1.0,
        }
        index = cls(Dataset.from_dict({name: [] for name in TABLE}, features=TABLE), None, model, config)
        index.add(documents, factory)
        return index

    def add(self, documents: Sequence[Document], factory: str | None = None) -> None:
        """Cut and embed further documents as the first ones were.

        Raises:
            ValueError: without documents, and for one whose name the index has already.
        """
        names = [document.name for document in documents]
        twice = {name for name in names if names.count(name) > 1} | (set(names) & self.config["documents"].keys())
        if not names or twice:
            problem = (
                f"there are two of the name {sorted(twice)[0]}; delete the one first" if twice else "there are none"
            )
            raise ValueError(f"documents cannot be added: {problem}")
        rows = Dataset.from_list([{"number": number} for number in range(len(documents))])
        chunker = self.make_chunker()
        passages = rows.map(
            lambda batch: cut_rows([documents[number] for number in batch["number"]], chunker),
            batched=True,
            batch_size=1,
            remove_columns=["number"],
            features=TABLE,
            desc="Passages",
        )
        embedded = passages.map(
            lambda batch: {"vector": self.embed(self.searched(batch))},
            batched=True,
            batch_size=256,
            remove_columns=passages.column_names,
            desc="Vectors",
        )
        vectors = np.concatenate(
            [np.asarray(batch["vector"], np.float32) for batch in embedded.with_format("numpy").iter(4096)]
        )
        if self.vectors is None:
            self.config["factory"] = factory or choose_factory(len(vectors))
            self.vectors = make_vectors(vectors, self.config["factory"])
            self.config["recall"] = measure_recall(self.vectors, vectors)
        else:
            # what is mapped from a file cannot grow
            self.vectors = faiss.deserialize_index(faiss.serialize_index(self.vectors))
            self.vectors.add(vectors)
        self.passages = concatenate_datasets([self.passages, passages])
        self.config["documents"] |= {document.name: document.digest for document in documents}
        self.__dict__.pop("words", None)

    def delete(self, name: str) -> None:
        """Leave a document out of every search from now on; its passages are gone when the index is saved.

        Raises:
            KeyError: when there is no such document.
        """
        if name not in self.config["documents"]:
            raise KeyError(f"the index has no document {name!r}; it has {', '.join(self.config['documents'])}")
        del self.config["documents"][name]
        self.hidden |= {row for row, document in enumerate(self.passages["document"]) if document == name}

    def update(self, documents: Sequence[Document]) -> tuple[int, int]:
        """Take what is new or has changed, by the names and the digests of the texts. Returns how many were added and how many made anew.

        Raises:
            ValueError: for two documents of one name.
        """
        known, names = dict(self.config["documents"]), [document.name for document in documents]
        if len(set(names)) < len(names):
            twice = sorted(name for name in set(names) if names.count(name) > 1)
            raise ValueError(
                f"there are two documents of the name {twice[0]}; take them in one after the other, or rename one"
            )
        changed = [each for each in documents if each.name in known and known[each.name] != each.digest]
        new = [each for each in documents if each.name not in known]
        for document in changed:
            self.delete(document.name)
        if changed or new:
            self.add([*changed, *new])
        return len(new), len(changed)

    def check_made_by(
        self,
        embedder: str | None = None,
        kind: str | None = None,
        size: int | None = None,
        overlap: int | None = None,
        titles: bool | None = None,
    ) -> None:
        """Raises a `ValueError` where the index was made otherwise than is asked for; None is asked for nothing."""
        made = {name: self.config[name] for name in ("embedder", "titles")} | self.config["chunking"]
        asked = {"embedder": embedder, "kind": kind, "size": size, "overlap": overlap, "titles": titles}
        for name, value in asked.items():
            if value is not None and value != made[name]:
                raise ValueError(
                    f"the index was made with {name} {made[name]!r}, not {value!r}; save the other one in a folder of its own"
                )

    def compact(self) -> None:
        """Forget the passages of deleted documents."""
        if not self.hidden:
            return
        kept = [row for row in range(len(self.passages)) if row not in self.hidden]
        vectors = self.vectors.reconstruct_n(0, self.vectors.ntotal)[kept]
        self.vectors = make_vectors(vectors, self.config["factory"])
        self.passages, self.hidden = self.passages.select(kept), set()
        self.__dict__.pop("words", None)

    def make_chunker(self) -> Callable[[str], list[tuple[int, int]]]:
        chunking, tokenizer = self.config["chunking"], self.embedder.tokenizer
        if isinstance(tokenizer, Tokenizer):  # that of word vectors
            tokenizer = PreTrainedTokenizerFast(tokenizer_object=tokenizer)
        options = {"tokens": {"tokenizer": tokenizer}, "semantic": {"encode": self.embed}}
        return make_chunker(**chunking, **options.get(chunking["kind"], {}))

    def searched(self, rows: dict[str, list[str]]) -> list[str]:
        """The texts of passages as they are searched."""
        if not self.config["titles"]:
            return rows["text"]
        return [f"{section}\n{text}" if section else text for section, text in zip(rows["section"], rows["text"])]

    def embed(self, texts: list[str]) -> np.ndarray:
        """float32 `(passages, size)`, of length one."""
        return self.embedder.encode_document(texts, normalize_embeddings=True, show_progress_bar=False)

    # -- searching --------------------------------------------------------------------------------
    def search(
        self,
        question: str,
        k: int = 5,
        *,
        method: str = "dense",
        rerank: Rerank | None = None,
        relevance: float | None = None,
        pool: int = 50,
        rank_constant: int = RANK_CONSTANT,
    ) -> list[Hit]:
        """The passages nearest to a question.

        Args:
            question: any text.
            k: how many.
            method: `dense` by vectors, `bm25` by words (Robertson and Zaragoza 2009), or `hybrid`, both by the sums of their reciprocal ranks.
            rerank: gives scores of a question and passages, the higher the better, by which the pool is ordered anew.
            relevance: between 0 and 1, for passages that differ from each other (maximal marginal relevance, Carbonell and Goldstein 1998): the
                weight of being near to the question against being unlike the passages before; None orders by the score alone.
            pool: how many passages the later stages choose from.
            rank_constant: of `hybrid`: the smaller, the more the first ranks of each method count.

        Raises:
            ValueError: for an unknown method, an empty question, or a `k` below 1.
        """
        if method not in METHODS:
            raise ValueError(f"there is no method {method!r}; there are {', '.join(METHODS)}")
        if not question.strip() or k < 1:
            raise ValueError("a search needs a question and a k of 1 or more")
        wanted = max(pool, k) if method == "hybrid" or rerank or relevance is not None else k
        query = None if method == "bm25" and relevance is None else self.embed_question(question)
        stages: dict[int, dict[str, float]] = {}
        if method != "bm25":
            for row, score in find_nearest(self.vectors, query, wanted, self.hidden):
                stages[row] = {"dense": score}
        if method != "dense":
            for row, score in self.find_by_words(question, wanted):
                stages.setdefault(row, {})["bm25"] = score
        ordered = rank(stages, method, rank_constant)
        if rerank is not None and ordered:
            ordered = ordered[:wanted]
            for row, score in zip(ordered, rerank(question, self.passages[ordered]["text"]), strict=True):
                stages[row]["rerank"] = float(score)
            ordered = sorted(ordered, key=lambda row: -stages[row]["rerank"])
        if relevance is not None and ordered:
            ordered = self.spread(query, ordered[:wanted], k, relevance, stages)
        return [self.hit(row, stages[row]) for row in ordered[:k]]

    def embed_question(self, question: str) -> np.ndarray:
        """float32 `(size,)`, of length one."""
        return self.embedder.encode_query([question], normalize_embeddings=True, show_progress_bar=False)[0]

    def find_by_words(self, question: str, number: int) -> list[tuple[int, float]]:
        scores = self.words.scores(question)
        scores[sorted(self.hidden)] = 0
        best = np.argsort(-scores, kind="stable")[:number]
        return [(int(row), float(scores[row])) for row in best if scores[row] > 0]

    @functools.cached_property
    def words(self) -> Bm25:
        """What a search by words needs, made when it is first asked for."""
        return Bm25(self.searched(self.passages[:]))

    def spread(
        self, query: np.ndarray, rows: list[int], k: int, relevance: float, stages: dict[int, dict[str, float]]
    ) -> list[int]:
        """The first `k` of the rows by `diversify`."""
        vectors = np.stack([self.vectors.reconstruct(row) for row in rows])
        gains = {rows[place]: gain for place, gain in diversify(query, vectors, k, relevance).items()}
        for row, gain in gains.items():
            stages[row]["spread"] = gain
        return list(gains)

    def hit(self, row: int, stages: dict[str, float]) -> Hit:
        passage = self.passages[row]
        return Hit(**{name: passage[name] for name in TABLE}, row=row, score=list(stages.values())[-1], stages=stages)

    # -- keeping ----------------------------------------------------------------------------------
    def save_pretrained(self, folder: str | Path) -> None:
        """Parquet, FAISS's file, and last the config, which says that the rest is whole. Nothing is pickled."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CONFIG_FILE).unlink(missing_ok=True)
        self.compact()
        self.passages.to_parquet(folder / PASSAGES_FILE)
        part = folder / f"{VECTORS_FILE}.tmp"  # this index may be mapped from the file that is replaced
        faiss.write_index(self.vectors, str(part))
        part.replace(folder / VECTORS_FILE)
        (folder / "README.md").write_text(self.describe())
        sizes = {name: (folder / name).stat().st_size for name in (PASSAGES_FILE, VECTORS_FILE)}
        probe = [round(float(value), 5) for value in self.embed([PROBE])[0]]
        write_json(folder / CONFIG_FILE, self.config | {"sizes": sizes, "probe": probe})

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path,
        revision: str | None = None,
        embedder: SentenceTransformer | None = None,
        device: str | None = None,
    ) -> "PassageIndex":
        """From a folder or the Hub; the vectors are mapped into memory as they are needed.

        Args:
            source, revision: folder, or id and branch, tag or commit.
            embedder: that made the index, instead of loading it from where it was then.
            device: where the embedder runs.

        Raises:
            FileNotFoundError: when there is no index.
            ValueError: when it is damaged, or when the embedder is not the one that made it.
        """
        folder = Path(source) if Path(source).is_dir() else Path(snapshot_download(str(source), revision=revision))
        if not (folder / CONFIG_FILE).exists():
            raise FileNotFoundError(
                f"{source} holds no index, or one that was not written to its end; make it with `hf-recipes index`"
            )
        try:
            config = json.loads((folder / CONFIG_FILE).read_text())
            sizes, probe = config.pop("sizes"), np.array(config.pop("probe"), np.float32)
            damaged = [name for name, size in sizes.items() if (folder / name).stat().st_size != size]
            if damaged:
                raise ValueError(f"{damaged[0]} has another size than when it was saved")
            passages = Dataset.from_parquet(str(folder / PASSAGES_FILE), features=TABLE)
            vectors = faiss.read_index(str(folder / VECTORS_FILE), faiss.IO_FLAG_MMAP_IFC)
            if vectors.ntotal != len(passages):
                raise ValueError(f"it has {len(passages)} passages and {vectors.ntotal} vectors")
        except (OSError, RuntimeError, KeyError, ValueError, DatasetGenerationError) as error:
            raise ValueError(
                f"the index {source} is damaged: {' '.join(str(error).split())[:200]}; make it anew"
            ) from error
        if embedder is None:
            try:
                embedder = SentenceTransformer(config["embedder"], revision=config["revision"], device=device)
            except (OSError, ValueError) as error:
                raise FileNotFoundError(
                    f"the embedder {config['embedder']} of the index {source} cannot be loaded from there; give it as `embedder`"
                ) from error
        index = cls(passages, vectors, embedder, config)
        found = index.embed([PROBE])[0]
        if found.shape != probe.shape or np.linalg.norm(found - probe) > 0.045:
            raise ValueError(
                f"the index {source} was made by another embedder than this one; it was {config['embedder']}"
            )
        return index

    def remember(self, reader: str, **options: Any) -> None:
        """Keep how the index is asked: `reader` and `prompt` (of `load_reader`), `rerank` (of `load_reranker`), and options of `RagPipeline`,
        among them `least_score`, which was measured with all of these and holds for no others."""
        self.config["asked"] = {"reader": reader, **options}

    def push_to_hub(
        self, index_id: str, folder: str | Path, token: str | None = None, private: bool | None = None
    ) -> None:
        """Save in a folder and publish it.

        Raises:
            RuntimeError: in one line, when the Hub refuses or cannot be reached.
            ValueError: when the embedder lies on this machine alone.
        """
        check_portable(self.config["embedder"])
        self.save_pretrained(folder)
        forget_local_models(Path(folder))
        publish_folder(Path(folder), index_id, "Index of passages", token=token, private=private)

    def describe(self) -> str:
        """The card of the index."""
        chunking = self.config["chunking"]
        metadata = ModelCardData(
            library_name="hf_recipes",
            license="other",
            pipeline_tag="sentence-similarity",
            base_model=None if Path(self.config["embedder"]).is_dir() else self.config["embedder"],
            metrics=["recall"],
            tags=["hf-recipes", "passage-index", "faiss"],
        )
        rows = [{"document": name, "digest of its text": digest} for name, digest in self.config["documents"].items()]
        return f"""---
{metadata.to_yaml()}
---

# Index of {len(self.passages):,} passages

Passages of {len(rows)} documents (chunking `{chunking["kind"]}`, size {chunking["size"]}, overlap {chunking["overlap"]}) with vectors by
`{self.config["embedder"]}`{f", revision `{self.config['revision']}`" if self.config["revision"] else ""}. Its search finds {self.config["recall"]:.1%} of the ten
nearest passages.

```python
from hf_recipes import PassageIndex

index = PassageIndex.from_pretrained("{UNNAMED}")
for hit in index.search("YOUR QUESTION", k=5):
    print(hit.score, hit.document, hit.start, hit.end, hit.text)
```

{markdown_table(rows)}

The passages are text of these documents, whose licence holds for them.
"""


def check_portable(embedder: str) -> None:
    """Raises a `ValueError` where an embedder lies on this machine, so that another one could not search an index that it made."""
    if Path(embedder).is_dir():
        raise ValueError(
            f"the embedder {embedder} is a folder of this machine, and whoever loads the index needs it: push the embedder, make the index "
            "with its id, and push that"
        )


def forget_local_models(folder: Path) -> None:
    """Take what lies on this machine out of how a saved index is asked (see `PassageIndex.remember`), before the index is published: nobody
    else could load it."""
    config = json.loads((folder / CONFIG_FILE).read_text())
    asked = config.get("asked", {})
    local = [name for name, value in asked.items() if isinstance(value, str) and Path(value).exists()]
    if local:
        logger.warning("The %s of the index is on this machine alone; who loads it gives one of their own", local[0])
        config["asked"] = {name: value for name, value in asked.items() if name not in local}
        write_json(folder / CONFIG_FILE, config)


def cut_rows(documents: Sequence[Document], chunker: Callable[[str], list[tuple[int, int]]]) -> dict[str, list]:
    """Rows of `TABLE`."""
    rows: dict[str, list] = {name: [] for name in TABLE}
    for document in documents:
        for chunk in cut(document, chunker):
            for name, value in {"document": document.name, **chunk._asdict()}.items():
                rows[name].append(value)
    return rows


def commit_of(model: SentenceTransformer) -> str | None:
    """The commit of a model that came from the Hub."""
    return getattr(getattr(model[0], "auto_model", None), "config", None) and model[0].auto_model.config._commit_hash
