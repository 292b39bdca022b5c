"""Own verses of three kinds, whose words tell the genre and, less surely, the valence, for tests."""

from pathlib import Path

import numpy as np
from datasets import Dataset

GENRES = {
    "sea": ["wave", "sail", "harbour", "gull", "tide", "anchor"],
    "wood": ["pine", "moss", "owl", "fern", "root", "brook"],
    "town": ["tram", "lamp", "window", "market", "bell", "roof"],
}
GLAD, SAD, COMMON = ["sun", "dance", "sweet"], ["rain", "alone", "gone"], ["night", "day", "walk", "and", "old", "road"]


def make_songs(number: int, seed: int = 0) -> dict[str, list]:
    generator = np.random.default_rng(seed)
    rows: dict[str, list] = {"lyrics": [], "genre": [], "valence": [], "artist_name": []}
    for n in range(number):
        genre, valence = str(generator.choice(list(GENRES))), float(generator.random())
        mood = [str(generator.choice(GLAD if generator.random() < valence else SAD)) for _ in range(8)]
        words = [*generator.choice(GENRES[genre], 6), *generator.choice(COMMON, 8), *mood]
        rows["lyrics"].append(" ".join(generator.permutation(words)))
        rows["genre"].append(genre)
        rows["valence"].append(valence)
        rows["artist_name"].append(f"artist {n % 30}")
    return rows


def save_songs(folder: Path, rows: dict[str, list]) -> Path:
    folder.mkdir(exist_ok=True)
    Dataset.from_dict(rows).to_csv(folder / "train.csv")
    return folder
