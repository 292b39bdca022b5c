"""What the library costs around gensim: each line is a ratio, the median of alternating pairs.

    python benchmarks/lyrics.py

Seconds of the training of word vectors against gensim alone, on the same words with the same parameters (aim: at most 1.05); and the peak
memory of the fast mode, which reads a file, on 10 million words against that on a tenth of them (at most 1.2). The words are drawn.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from gensim.models import Word2Vec
from pairs import peak_memory, show

from hf_recipes.word_vectors import train_vectors

PAIRS, SONGS, WORDS_A_SONG, VOCABULARY = 5, 4000, 60, 5000
EPOCHS, SIZE, WINDOW, MIN_COUNT = 3, 100, 10, 3


def draw_songs(songs: int) -> list[list[str]]:
    """Songs of words whose frequencies fall with their rank, as those of a language do."""
    ranks = np.random.default_rng(0).zipf(1.3, (songs, WORDS_A_SONG)) % VOCABULARY
    return [[f"word{rank}" for rank in song] for song in ranks.tolist()]


def time_call(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def train_from_file(words: int) -> None:
    """The fast mode, on a file of so many words."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "corpus.txt"
        with file.open("w") as lines:
            songs = ["".join(" ".join(song) + "\n" for song in draw_songs(SONGS))]
            for _ in range(words // (SONGS * WORDS_A_SONG)):
                lines.writelines(songs)
        train_vectors(file, size=SIZE, window=WINDOW, epochs=1, min_count=MIN_COUNT, workers=2)


def main() -> None:
    songs, ratios = draw_songs(SONGS), []
    for _ in range(PAIRS):
        theirs = time_call(
            lambda: Word2Vec(
                songs, vector_size=SIZE, window=WINDOW, sg=1, epochs=EPOCHS, min_count=MIN_COUNT, workers=1
            )
        )  # fmt: skip
        ours = time_call(
            lambda: train_vectors(songs, size=SIZE, window=WINDOW, epochs=EPOCHS, min_count=MIN_COUNT, workers=1)
        )
        ratios.append(ours / theirs)
    show("seconds of training word vectors / gensim's", ratios, "at most 1.05")
    small, large = (peak_memory("lyrics", f"train_from_file({words})") for words in (1_000_000, 10_000_000))
    show(f"peak memory on 10 million words ({large:.2f} GB) / on 1 million", [large / small], "at most 1.2")


if __name__ == "__main__":
    main()
