"""Word vectors: trained by gensim, kept without pickles, and handed on to gensim and sentence-transformers."""

import contextlib
import json
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors.numpy
from gensim.models import KeyedVectors, Word2Vec
from gensim.models.callbacks import CallbackAny2Vec
from huggingface_hub import snapshot_download
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from tqdm.auto import tqdm

from .checkpoints import write_json
from .words import make_tokenizer, split_words

VECTORS_FILE, WORDS_FILE = "model.safetensors", "words.json"
JOINER = "_"  # of the words of a phrase in a file; no word holds one
UNKNOWN_WORDS = 2  # rows before those of the vocabulary: padding and words outside it


class WordVectors(NamedTuple):
    """Vectors of words, the commonest first.

    Args:
        words: the vocabulary.
        counts: `(words,)`, how often each occurs.
        vectors: `(words, size)`, float32.
    """

    words: list[str]
    counts: np.ndarray
    vectors: np.ndarray

    def save(self, folder: Path) -> None:
        """As a model of sentence-transformers (safetensors and a tokenizer), and `words.json`, the words with their counts."""
        folder.mkdir(parents=True, exist_ok=True)
        self.to_sentence_transformer().save_pretrained(str(folder), create_model_card=False)
        write_json(folder / WORDS_FILE, dict(zip(self.words, self.counts.tolist())))

    @classmethod
    def from_pretrained(cls, source: str | Path, revision: str | None = None) -> "WordVectors":
        """From a folder or the Hub.

        Raises:
            OSError: where there are none.
            ValueError: where words and vectors are not as many.
        """
        folder = Path(source) if Path(source).is_dir() else Path(snapshot_download(str(source), revision=revision))
        counts = json.loads((folder / WORDS_FILE).read_text())
        vectors = safetensors.numpy.load_file(folder / VECTORS_FILE)["embedding.weight"][UNKNOWN_WORDS:]
        if len(counts) != len(vectors):
            raise ValueError(f"{source} holds {len(counts)} words and {len(vectors)} vectors")
        return cls(list(counts), np.array(list(counts.values()), np.int64), vectors)

    def to_gensim(self) -> KeyedVectors:
        keyed = KeyedVectors(self.vectors.shape[1])
        keyed.add_vectors(self.words, self.vectors)
        for word, count in zip(self.words, self.counts.tolist()):
            keyed.set_vecattr(word, "count", count)
        return keyed

    @classmethod
    def from_gensim(cls, keyed: KeyedVectors) -> "WordVectors":
        """`_` in an entry is the space of a phrase.

        Raises:
            ValueError: for entries that are no words as texts are split here, in lower case: no text would ever hold them.
        """
        vectors = take_vectors(keyed)
        pieces = split_words(vectors.words)
        strange = [word for word, piece in zip(vectors.words, pieces) if " ".join(piece) != word]
        if strange:
            raise ValueError(
                f"{len(strange)} entries, such as {strange[0]!r}, are no words of texts as they are split here, in lower case and without "
                "signs; leave them out"
            )
        return vectors

    def to_sentence_transformer(self) -> SentenceTransformer:
        """A model whose vector of a text is the mean over its words; a word that is not in the vocabulary counts as zeros."""
        nothing = np.zeros((UNKNOWN_WORDS, self.vectors.shape[1]), np.float32)
        tokenizer = make_tokenizer(self.words).backend_tokenizer
        return SentenceTransformer(
            modules=[StaticEmbedding(tokenizer, np.concatenate([nothing, self.vectors]))], device="cpu"
        )


def take_vectors(keyed: KeyedVectors) -> WordVectors:
    words = keyed.index_to_key
    counts = [keyed.get_vecattr(word, "count") if "count" in keyed.expandos else 1 for word in words]
    return WordVectors(
        [word.replace(JOINER, " ") for word in words], np.array(counts, np.int64), keyed.vectors.astype(np.float32)
    )


class Progress(CallbackAny2Vec):
    """A bar over the epochs of a training."""

    def __init__(self, epochs: int, shown: bool):
        self.bar = tqdm(total=epochs, desc="Word vectors", unit="epoch", disable=not shown)

    def on_epoch_end(self, model: Any) -> None:
        self.bar.update()

    def on_train_end(self, model: Any) -> None:
        self.bar.close()


def train_vectors(
    sentences: Iterable[Sequence[str]] | Path,
    *,
    size: int = 100,
    window: int = 10,
    skip_gram: bool = True,
    epochs: int = 20,
    sample: float = 0.001,
    min_count: int = 3,
    seed: int = 0,
    workers: int = 1,
    progress: bool = True,
) -> WordVectors:
    """Word2Vec (Mikolov et al. 2013) by gensim, with negative sampling.

    With one worker the same seed gives the same vectors in every process: gensim draws initial vectors from the seed alone, by the place of
    a word. With several it is faster, from a file, and no two runs are the same.

    Args:
        sentences: lists of words, gone through several times; or a file of sentences, a line each, with spaces between the words and `_` in
            phrases, which gensim reads in its fast mode and which need not fit into memory.
        size: of a vector.
        window: words to each side.
        skip_gram: predict the words around each word; else each word by those around it (CBOW).
        epochs: of the training.
        sample: words of a greater share of the texts are left out now and then, the more often the commoner they are; 0 leaves none out, as
            fits texts whose stop words are gone.
        min_count: rarer words have no vector.
        seed: of the initial vectors and of the draws.
        workers: threads.
        progress: whether a bar is shown.

    Raises:
        ValueError: when no word is frequent enough.
    """
    try:
        with as_corpus(sentences, workers) as corpus:
            model = Word2Vec(
                **corpus,
                vector_size=size,
                window=window,
                sg=int(skip_gram),
                epochs=epochs,
                sample=sample,
                min_count=min_count,
                seed=seed,
                workers=workers,
                callbacks=[Progress(epochs, progress)],
            )
    except RuntimeError as error:  # gensim's for an empty vocabulary
        raise ValueError(
            f"no word occurs {min_count} times; give more texts or a smaller --min_count ({error})"
        ) from error
    return take_vectors(model.wv)


@contextlib.contextmanager
def as_corpus(sentences: Iterable[Sequence[str]] | Path, workers: int) -> Iterator[dict[str, Any]]:
    """What gensim reads: a file where there are several workers, which would wait for each other over a list."""
    if isinstance(sentences, Path):
        yield {"corpus_file": str(sentences)}
    elif workers == 1:
        yield {"sentences": sentences}
    else:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "sentences.txt"
            with file.open("w") as lines:
                for words in sentences:
                    lines.write(" ".join(word.replace(" ", JOINER) for word in words) + "\n")
            yield {"corpus_file": str(file)}


def document_weights(documents: Iterable[Sequence[str]], words: Sequence[str]) -> np.ndarray:
    """`(words,)`: inverse document frequency, log((1 + documents) / (1 + those with the word)) + 1, as scikit-learn's."""
    numbers = {word: number for number, word in enumerate(words)}
    found, total = np.zeros(len(words)), 0
    for document in documents:
        total += 1
        for number in {numbers[word] for word in document if word in numbers}:
            found[number] += 1
    return (np.log((1 + total) / (1 + found)) + 1).astype(np.float32)


def mean_vectors(
    documents: Iterable[Sequence[str]], vectors: WordVectors, weights: np.ndarray | None = None
) -> np.ndarray:
    """`(documents, size)`: the mean over the words of each that have a vector, weighted where weights are given; zeros where none has."""
    numbers = {word: number for number, word in enumerate(vectors.words)}
    rows = []
    for document in documents:
        known = [numbers[word] for word in document if word in numbers]
        if not known:
            rows.append(np.zeros(vectors.vectors.shape[1], np.float32))
            continue
        of_words = np.ones(len(known)) if weights is None else weights[known]
        rows.append(np.average(vectors.vectors[known], axis=0, weights=of_words).astype(np.float32))
    return np.stack(rows)
