"""Tell genre or valence from lyrics, by word vectors that are trained on them.

    accelerate launch recipes/lyrics.py --config recipes/lyrics/genre_word2vec.yaml --dataset YOUR_FOLDER_OR_HUB_ID

Any data set or CSV of texts with classes or values will do; `--help` explains every option.
"""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from datasets import Dataset
from transformers import set_seed

from hf_recipes import WordVectorConfig, WordVectorForSequenceClassification
from hf_recipes.arguments import DatasetArguments, RecipeTrainingArguments
from hf_recipes.lyrics.analysis import analyse
from hf_recipes.lyrics.card import make_card
from hf_recipes.lyrics.data import LoadedSongs, load_songs
from hf_recipes.lyrics.lexicon import read_lexicon
from hf_recipes.lyrics.training import SongCollator, encode_songs, make_compute, number_words, reduce_batch
from hf_recipes.lyrics.vectors import VECTORS_FILE, WordVectors, document_weights, train_vectors
from hf_recipes.lyrics.words import make_tokenizer
from hf_recipes.run import launch, run
from hf_recipes.training import RecipeTrainer


@dataclass
class LyricsArguments(DatasetArguments):
    """Train word vectors and a classifier over them, test it, and write its card."""

    dataset_config: str | None = field(default=None, metadata={"help": "Configuration of a data set that has several."})
    dataset_revision: str | None = field(default=None, metadata={"help": "Branch, tag or commit on the Hub."})
    text_column: str = field(default="lyrics", metadata={"help": "Column of texts."})
    label_column: str = field(default="genre", metadata={"help": "Column of classes, or of values (floats)."})
    group_column: str = field(
        default="artist_name", metadata={"help": "What must not be on both sides of a split; `none` for nothing."}
    )
    folds: int = field(default=5, metadata={"help": "Of the data; the seed says which one tests and how they are cut."})
    similarity: float = field(default=0.8, metadata={"help": "Above which songs are duplicates; 1 looks for none."})
    vector_size: int = field(default=100, metadata={"help": "Of a word vector."})
    window: int = field(default=10, metadata={"help": "Words to each side that word vectors learn from."})
    skip_gram: bool = field(default=True, metadata={"help": "Word vectors by skip-gram; else by CBOW."})
    vector_epochs: int = field(default=20, metadata={"help": "Of the training of word vectors."})
    min_count: int = field(default=3, metadata={"help": "Rarer words have no vector."})
    workers: int = field(
        default=1, metadata={"help": "Threads that train word vectors; with more than one, no two runs are the same."}
    )
    embeddings: Literal["frozen", "fine_tuned", "random"] = field(
        default="frozen", metadata={"help": "What the classifier does with the vectors."}
    )
    pooling: Literal["mean", "tfidf", "attention", "textcnn"] = field(
        default="mean", metadata={"help": "How a text becomes one vector."}
    )
    hidden_size: int = field(default=0, metadata={"help": "Of a hidden layer before the logits."})
    dropout: float = field(default=0.2, metadata={"help": "Before each dense layer."})
    sentence_encoder: str | None = field(
        default=None, metadata={"help": "Id or folder of a sentence encoder whose frozen vectors are a baseline too."}
    )
    lexicon: str | None = field(
        default=None, metadata={"help": "File of words and scores; how well the vectors tell the scores is measured."}
    )


def main(recipe: LyricsArguments, args: RecipeTrainingArguments) -> dict[str, Any]:
    set_seed(args.seed)
    songs = load_songs(
        recipe.dataset,
        label_column=recipe.label_column,
        text_column=recipe.text_column,
        group_column=None if recipe.group_column == "none" else recipe.group_column,
        config=recipe.dataset_config,
        revision=recipe.dataset_revision,
        folds=recipe.folds,
        similarity=recipe.similarity,
        seed=args.seed,
    )
    lexicon = read_lexicon(Path(recipe.lexicon)) if recipe.lexicon else None
    vectors = load_vectors(recipe, args, songs)
    tokenizer = make_tokenizer(vectors.words)
    splits = {name: number_words(split, tokenizer) for name, split in songs.splits.items()}
    trainer = RecipeTrainer(
        model=make_model(recipe, songs, vectors, splits["train"]),
        args=args,
        card=make_card(recipe, songs),
        train_dataset=splits["train"],
        eval_dataset=splits["validation"],
        data_collator=SongCollator(tokenizer, songs.names is None),
        processing_class=tokenizer,
        compute_metrics=make_compute(songs.names is None),
        reduce=reduce_batch,
    )
    encoded = encode_songs(songs.splits, recipe.sentence_encoder) if recipe.sentence_encoder else None
    report = partial(analyse, songs=songs, vectors=vectors, encoded=encoded, lexicon=lexicon)
    return run(trainer, recipe, splits["test"], report)


def load_vectors(recipe: LyricsArguments, args: RecipeTrainingArguments, songs: LoadedSongs) -> WordVectors:
    """Of the training songs; those that a run has trained before it was killed are read again."""
    folder = Path(args.output_dir)
    with args.main_process_first():
        if not (folder / VECTORS_FILE).exists():
            train_vectors(
                songs.splits["train"]["words"][:],
                size=recipe.vector_size,
                window=recipe.window,
                skip_gram=recipe.skip_gram,
                epochs=recipe.vector_epochs,
                min_count=recipe.min_count,
                seed=args.seed,
                workers=recipe.workers,
            ).save(folder)
    return WordVectors.load(folder)


def make_model(
    recipe: LyricsArguments, songs: LoadedSongs, vectors: WordVectors, train: Dataset
) -> WordVectorForSequenceClassification:
    names = songs.names or [recipe.label_column]
    config = WordVectorConfig(
        vocab_size=len(vectors.words) + 2,
        embedding_size=vectors.vectors.shape[1],
        pooling=recipe.pooling,
        hidden_size=recipe.hidden_size,
        dropout=recipe.dropout,
        problem_type="single_label_classification" if songs.names else "regression",
        id2label=dict(enumerate(names)),
        label2id={name: number for number, name in enumerate(names)},
    )
    model = WordVectorForSequenceClassification(config)
    weights = torch.from_numpy(document_weights(train["words"], vectors.words))
    model.set_vectors(None if recipe.embeddings == "random" else torch.from_numpy(vectors.vectors), weights)
    model.embeddings.requires_grad_(recipe.embeddings != "frozen")
    return model


if __name__ == "__main__":
    launch(main, LyricsArguments)
