"""What the cards of song classifiers say beyond the numbers of their run."""

from pathlib import Path
from typing import Any

from huggingface_hub import ModelCardData

from ..model_card import UNNAMED, CardInfo, describe_data, markdown_table
from ..word_vectors import WordVectors
from .data import LoadedSongs
from .metrics import CLASS_METRICS, VALUE_METRICS
from .semantics import intrinsic_scores, neighbours

# last part of a folder or id -> its name, source and licence
KNOWN_DATA = {
    "tcc-ceds-1000": (
        "Music Dataset: Lyrics and Metadata from 1950 to 2019, 1,000 songs",
        "https://data.mendeley.com/datasets/3t9vbwxgr5/2",
        "cc-by-4.0",
    )
}
POOLINGS = {
    "mean": "the mean of its word vectors",
    "tfidf": "the mean of its word vectors, weighted by inverse document frequency",
    "attention": "a mean of its word vectors, weighted by learned attention",
    "textcnn": "convolutions over the sequence of its word vectors",
}
EMBEDDINGS = {
    "frozen": "Word2Vec's, trained on the training songs and then frozen",
    "fine_tuned": "Word2Vec's, trained on the training songs and then fine-tuned",
    "random": "random at the start",
}
SNIPPET = """
from transformers import pipeline

tell = pipeline("text-classification", model="{model_id}", trust_remote_code=True)
print(tell("rain fall lonely street walk home alone tonight"))
"""
VECTORS_CARD = """---
{metadata}
---

# Word vectors of lyrics: {dataset_name}

{words:,} words and phrases with vectors of {size}, by {method} (gensim, window {window}, {epochs} epochs, seed {seed}), from the {songs:,} training songs
of a run of `{recipe}`. The vector of a text is the mean over its words; a word that has no vector counts as zeros.

## Use

```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("{model_id}")
print(model.similarity(model.encode("rain"), model.encode(["storm", "dance"])))
```

`words.json` holds how often each word occurs, the commonest first.

## What they know

Pairs of words that people have judged, and analogies, where all words have a vector:

{intrinsic}

The commonest words and their nearest by cosine:

{nearest}

## Data

{dataset_name}, {dataset_url}. Licence of the data: {dataset_license}.

## Limitations

- They were trained on few words: neighbours say as much about which songs there are as about the language.
- They hold what the songs say of people.

## Citation

Mikolov et al., Efficient estimation of word representations in vector space, 2013.
"""


def make_card(recipe: Any, songs: LoadedSongs) -> CardInfo:
    """The card of a run of `recipes/lyrics.py`, from its arguments and the data."""
    data = describe_data(recipe, KNOWN_DATA)
    what = "classes" if songs.names else "a value"
    if recipe.fine_tune_encoder:
        kind = recipe.sentence_encoder.rstrip("/").split("/")[-1]
        how = f"{kind}, all of which is fine-tuned, from the output at its first token"
        limitations = ["Words beyond the encoder's longest window are not read."]
    else:
        kind = recipe.pooling
        how = f"{POOLINGS[recipe.pooling]}. The vectors are {EMBEDDINGS[recipe.embeddings]}"
        limitations = [
            "A word that it has no vector for counts for nothing; a text of such words gets the same answer as an empty one.",
            "It knows words and, but for convolutions, not their order.",
            "It has learned from whole songs: a text of a few words gets a more extreme answer than it should.",
        ]
    return CardInfo(
        title=f"{recipe.label_column.replace('_', ' ').capitalize()} from lyrics ({kind}), {data['dataset_name']}",
        summary=f"Tells {what} from the words of a text, by {how}.",
        pipeline_task="text-classification",
        auto_class="AutoModelForSequenceClassification",
        metrics=CLASS_METRICS if songs.names else VALUE_METRICS,
        snippet=SNIPPET,
        **data,
        dataset_revision=songs.revision,
        tested_on=songs.tested_on and f"{data['dataset_name']}, {songs.tested_on}",
        recipe="recipes/lyrics.py",
        limitations=[
            *limitations,
            "It was trained on few songs of one source, whose labels are that source's.",
            *(
                [f"{songs.shared} groups of the test, such as artists, are in the training songs too."]
                if songs.shared
                else []
            ),
        ],
        citation=cite(recipe),
        pipeline_tag="text-classification",
        base_model=recipe.sentence_encoder
        if recipe.fine_tune_encoder and not Path(recipe.sentence_encoder).is_dir()
        else None,
    )


def cite(recipe: Any) -> str:
    """What the method of a run comes from."""
    if recipe.fine_tune_encoder:
        return "Reimers and Gurevych, Sentence-BERT, 2019. Devlin et al., BERT, 2019."
    papers = "Mikolov et al., Efficient estimation of word representations in vector space, 2013."
    if recipe.pooling == "textcnn":
        papers += " Kim, Convolutional neural networks for sentence classification, 2014."
    return papers


def write_vectors_card(folder: Path, recipe: Any, songs: LoadedSongs, vectors: WordVectors, seed: int) -> None:
    """`README.md` in the folder of word vectors."""
    data = describe_data(recipe, KNOWN_DATA)
    metadata = ModelCardData(
        library_name="sentence-transformers",
        license=data["license"],
        pipeline_tag="sentence-similarity",
        datasets=data["dataset_id"],
        metrics=["spearman", "accuracy"],
        tags=["hf-recipes", "word2vec", "sentence-transformers"],
    )
    text = VECTORS_CARD.format(
        metadata=metadata.to_yaml(),
        words=len(vectors.words),
        size=vectors.vectors.shape[1],
        method="Word2Vec's skip-gram" if recipe.skip_gram else "Word2Vec's CBOW",
        window=recipe.window,
        epochs=recipe.vector_epochs,
        seed=seed,
        songs=len(songs.splits["train"]),
        recipe="recipes/lyrics.py",
        model_id=UNNAMED,
        intrinsic=markdown_table(intrinsic_scores(vectors)),
        nearest=markdown_table(neighbours(vectors)),
        **data,
    )
    (folder / "README.md").write_text(text)
