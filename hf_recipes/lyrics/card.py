"""What the cards of song classifiers say beyond the numbers of their run."""

from typing import Any

from ..model_card import CardInfo, describe_data
from .data import LoadedSongs
from .metrics import CLASS_METRICS, VALUE_METRICS

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


def make_card(recipe: Any, songs: LoadedSongs) -> CardInfo:
    """The card of a run of `recipes/lyrics.py`, from its arguments and the data."""
    data = describe_data(recipe, KNOWN_DATA)
    what = "classes" if songs.names else "a value"
    return CardInfo(
        title=f"{recipe.label_column.replace('_', ' ').capitalize()} from lyrics ({recipe.pooling}), {data['dataset_name']}",
        summary=f"Tells {what} from the words of a text, by {POOLINGS[recipe.pooling]}. The vectors are {EMBEDDINGS[recipe.embeddings]}.",
        pipeline_task="text-classification",
        auto_class="AutoModelForSequenceClassification",
        metrics=CLASS_METRICS if songs.names else VALUE_METRICS,
        snippet=SNIPPET,
        **data,
        dataset_revision=songs.revision,
        tested_on=songs.tested_on and f"{data['dataset_name']}, {songs.tested_on}",
        recipe="recipes/lyrics.py",
        limitations=[
            "A word that it has no vector for counts for nothing; a text of such words gets the same answer as an empty one.",
            "It knows words and, but for convolutions, not their order.",
            "It was trained on few songs of one source, whose labels are that source's.",
        ],
        citation="Mikolov et al., Efficient estimation of word representations in vector space, 2013."
        + (
            " Kim, Convolutional neural networks for sentence classification, 2014."
            if recipe.pooling == "textcnn"
            else ""
        ),
        pipeline_tag="text-classification",
    )
