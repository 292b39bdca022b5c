"""Images that are the same or nearly so, by their perceptual hash."""

from typing import Any

import faiss
import numpy as np
from datasets import Dataset
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ..intervals import members_of


def group_duplicates(images: Dataset, distance: int) -> np.ndarray:
    """The number of each image's group, `(images,)`: chains of images at most `distance` bits apart."""
    if distance < 0:
        return np.arange(len(images))
    hashes = np.frombuffer(b"".join(images["hash"]), np.uint8).reshape(len(images), -1)
    index = faiss.IndexBinaryFlat(8 * hashes.shape[1])
    index.add(hashes)
    limits, _, found = index.range_search(hashes, distance + 1)
    rows = np.repeat(np.arange(len(images)), np.diff(limits.astype(int)))
    graph = coo_array((np.ones(len(rows), bool), (rows, found)), shape=(len(images), len(images)))
    return connected_components(graph, directed=False)[1]


def describe_duplicates(images: Dataset, groups: np.ndarray, names: list[str], most: int = 20) -> list[dict[str, Any]]:
    """One row for each group of several images, those with several classes first, then the largest."""
    labels, splits, indices = np.asarray(images["label"]), images["split"], images["index"]
    digests, rows = np.asarray(images["digest"], object), []
    for members in members_of(groups):
        if len(members) == 1:
            continue
        rows.append(
            {
                "images": ", ".join(f"{splits[member]} {indices[member]}" for member in members[:6])
                + (", ..." if len(members) > 6 else ""),
                "number": len(members),
                "same pixels": "yes" if len(set(digests[members])) == 1 else "",
                "classes": ", ".join(names[label] for label in np.unique(labels[members])),
            }
        )
    return sorted(rows, key=lambda row: (-row["classes"].count(", "), -row["number"]))[:most]
