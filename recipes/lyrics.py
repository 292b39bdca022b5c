"""Tell genre or valence from lyrics, by word vectors that are trained on them.

    accelerate launch recipes/lyrics.py --config recipes/lyrics/genre_word2vec.yaml --dataset YOUR_FOLDER_OR_HUB_ID

Any data set, or file of rows such as a CSV, of texts with classes or values will do; `--help` explains every option.
"""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase, set_seed

from hf_recipes import WordVectorConfig, WordVectorForSequenceClassification
from hf_recipes.arguments import DatasetArguments, RecipeTrainingArguments, check_ranges
from hf_recipes.checkpoints import read_json, write_json
from hf_recipes.lyrics.analysis import analyse
from hf_recipes.lyrics.card import make_card, write_vectors_card
from hf_recipes.lyrics.data import LoadedSongs, load_songs
from hf_recipes.lyrics.lexicon import known_words, read_lexicon
from hf_recipes.lyrics.training import (
    SongCollator,
    begin_at_mean,
    encode_songs,
    label_options,
    load_encoder,
    make_compute,
    number_words,
    reduce_batch,
    standardize,
)
from hf_recipes.lyrics.word_report import TrainVectors
from hf_recipes.publishing import publish_folder
from hf_recipes.run import check_folder, launch, run, run_settings
from hf_recipes.training import SETTINGS_FILE, RecipeTrainer
from hf_recipes.word_vectors import (
    UNKNOWN_WORDS,
    WordVectors,
    document_weights,
    train_vectors,
)
from hf_recipes.words import make_tokenizer

VECTORS = "_word_vectors"  # in the folder of the run; what begins with _ is not published with the classifier


# the least and the most that options can be
RANGES = {
    "phrases": (0, None),
    "folds": (2, None),
    "similarity": (0.01, 1),
    "vector_size": (1, None),
    "window": (1, None),
    "vector_epochs": (1, None),
    "vector_sample": (0, 1),
    "min_count": (1, None),
    "workers": (1, None),
    "hidden_size": (0, None),
    "dropout": (0, 1),
}


@dataclass
class LyricsArguments(DatasetArguments):
    """Train word vectors and a classifier over them, test it, and write its card."""

    dataset_config: str | None = field(default=None, metadata={"help": "Configuration of a data set that has several."})
    text_column: str = field(default="lyrics", metadata={"help": "Column of texts."})
    label_column: str = field(default="genre", metadata={"help": "Column of classes, or of values (floats)."})
    group_column: str = field(
        default="artist_name", metadata={"help": "What must not be on both sides of a split; `none` for nothing."}
    )
    year_column: str | None = field(default=None, metadata={"help": "Of years, for --word_shifts."})
    word_shifts: bool = field(
        default=False,
        metadata={
            "help": "Describe how words differ between the two commonest classes, and between earlier and later songs."
        },
    )
    phrases: int = field(
        default=0,
        metadata={"help": "Take pairs of words as one that occur more often than this, and than by chance; 0: none."},
    )
    folds: int = field(default=5, metadata={"help": "Of the data; the seed says which one tests and how they are cut."})
    similarity: float = field(default=0.2, metadata={"help": "Above which songs are duplicates; 1 looks for none."})
    vector_size: int = field(default=100, metadata={"help": "Of a word vector."})
    window: int = field(default=10, metadata={"help": "Words to each side that word vectors learn from."})
    skip_gram: bool = field(default=True, metadata={"help": "Word vectors by skip-gram; else by CBOW."})
    vector_epochs: int = field(default=20, metadata={"help": "Of the training of word vectors."})
    vector_sample: float = field(
        default=0.001, metadata={"help": "Words of a greater share of the text are left out now and then; 0: never."}
    )
    min_count: int = field(default=3, metadata={"help": "Rarer words have no vector."})
    workers: int = field(
        default=1,
        metadata={
            "help": "Threads that train word vectors; with more than one, from a file, no two runs are the same."
        },
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
    fine_tune_encoder: bool = field(
        default=False, metadata={"help": "The classifier is that encoder, fine-tuned, and not one over word vectors."}
    )
    baselines: bool = field(default=True, metadata={"help": "Fit simple models on the same songs, for comparison."})
    lexicon: str | None = field(
        default=None,
        metadata={"help": "File of words and scores, or `vader`; how well vectors tell the scores is measured."},
    )
    hub_vectors_id: str | None = field(
        default=None, metadata={"help": "Repository for the word vectors alone, if the run is pushed."}
    )


def main(recipe: LyricsArguments, args: RecipeTrainingArguments) -> dict[str, Any]:
    set_seed(args.seed)
    check_options(recipe)
    songs = load_songs(
        recipe.dataset,
        label_column=recipe.label_column,
        text_column=recipe.text_column,
        group_column=None if recipe.group_column == "none" else recipe.group_column,
        year_column=recipe.year_column,
        phrases=recipe.phrases,
        config=recipe.dataset_config,
        revision=recipe.dataset_revision,
        folds=recipe.folds,
        similarity=recipe.similarity,
        seed=args.seed,
    )
    fit = partial(
        train_vectors,
        size=recipe.vector_size,
        window=recipe.window,
        skip_gram=recipe.skip_gram,
        epochs=recipe.vector_epochs,
        sample=recipe.vector_sample,
        min_count=recipe.min_count,
        seed=args.seed,
        workers=recipe.workers,
        progress=not args.disable_tqdm,
    )
    check_folder(Path(args.output_dir), run_settings(recipe, args))
    vectors = make_vectors(recipe, args, songs, fit) if needs_vectors(recipe) else None
    lexicon = read_lexicon(recipe.lexicon) if recipe.lexicon else None
    if lexicon:
        known_words(vectors, lexicon)  # too few of them are better named before the training
    model, tokenizer = make_model(recipe, songs, vectors)
    if songs.names is None:
        begin_at_mean(model, songs.splits["train"]["label"][:])
    splits = {name: number_words(split, tokenizer) for name, split in songs.splits.items()}
    trainer = RecipeTrainer(
        model=model,
        args=args,
        card=make_card(recipe, songs),
        train_dataset=splits["train"],
        eval_dataset=splits["validation"],
        data_collator=SongCollator(tokenizer, songs.names is None),
        processing_class=tokenizer,
        compute_metrics=make_compute(songs.names is None),
        reduce=reduce_batch,
    )
    report = partial(
        analyse,
        songs=songs,
        vectors=vectors,
        train_vectors=fit if recipe.word_shifts else None,
        encode=partial(encode_songs, songs.splits, recipe.sentence_encoder) if recipe.sentence_encoder else None,
        lexicon=lexicon,
        baselines=recipe.baselines,
    )
    results = run(trainer, recipe, splits["test"], report)
    if args.push_to_hub and recipe.hub_vectors_id and trainer.is_world_process_zero():
        folder = Path(args.output_dir) / VECTORS
        write_vectors_card(folder, recipe, songs, vectors, args.seed)
        publish_folder(
            folder, recipe.hub_vectors_id, "Word vectors", leave_out=[SETTINGS_FILE], token=args.hub_token,
            private=args.hub_private_repo,
        )  # fmt: skip
    return results


def check_options(recipe: LyricsArguments) -> None:
    """Refuses what cannot be and what would be of no effect, before anything is loaded."""
    check_ranges(recipe, RANGES)
    if recipe.hub_vectors_id and not needs_vectors(recipe):
        raise ValueError("--hub_vectors_id is for word vectors, and a fine-tuned encoder alone has none")
    if recipe.fine_tune_encoder and not recipe.sentence_encoder:
        raise ValueError("--fine_tune_encoder fine-tunes --sentence_encoder; give its id or folder")
    if recipe.sentence_encoder and not recipe.fine_tune_encoder and not recipe.baselines:
        raise ValueError("--sentence_encoder is a baseline, or fine-tuned with --fine_tune_encoder; --baselines is off")
    if recipe.year_column and not recipe.word_shifts:
        raise ValueError("--year_column is for --word_shifts, which is not given")
    if recipe.phrases and recipe.phrases < recipe.min_count:
        raise ValueError(
            f"--phrases is {recipe.phrases}, and what occurs less than {recipe.min_count} times (--min_count) has no vector"
        )


def needs_vectors(recipe: LyricsArguments) -> bool:
    """Whether anything is made of word vectors."""
    return not recipe.fine_tune_encoder or recipe.baselines or recipe.word_shifts or bool(recipe.lexicon)


def make_vectors(
    recipe: LyricsArguments, args: RecipeTrainingArguments, songs: LoadedSongs, fit: TrainVectors
) -> WordVectors:
    """Word vectors of the training songs in the run's folder; a run that was killed goes on with those that it has."""
    folder, digest = Path(args.output_dir) / VECTORS, run_settings(recipe, args)["digest"]
    with args.main_process_first():
        if read_json(folder / SETTINGS_FILE) != digest:
            (folder / SETTINGS_FILE).unlink(missing_ok=True)
            words = songs.splits["train"]["words"]
            # several workers read a file, which is written row by row
            vectors = fit(words[:] if recipe.workers == 1 else words)
            vectors.save(folder)
            write_json(folder / SETTINGS_FILE, digest)
    return WordVectors.from_pretrained(folder)


def make_model(
    recipe: LyricsArguments, songs: LoadedSongs, vectors: WordVectors | None
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    labels = label_options(songs.names, recipe.label_column)
    if recipe.fine_tune_encoder:
        return load_encoder(recipe.sentence_encoder, labels)
    config = WordVectorConfig(
        vocab_size=len(vectors.words) + UNKNOWN_WORDS,
        embedding_size=vectors.vectors.shape[1],
        pooling=recipe.pooling,
        hidden_size=recipe.hidden_size,
        dropout=recipe.dropout,
        **labels,
    )
    model = WordVectorForSequenceClassification(config)
    documents = songs.splits["train"]["words"][:]
    weights = document_weights(documents, vectors.words)
    if recipe.embeddings == "random":
        vectors = vectors._replace(vectors=torch.randn(*vectors.vectors.shape).numpy())
    scaled = standardize(vectors, documents, recipe.pooling, weights)
    model.set_vectors(torch.from_numpy(scaled), torch.from_numpy(weights))
    model.embeddings.requires_grad_(recipe.embeddings != "frozen")
    return model, make_tokenizer(vectors.words)


if __name__ == "__main__":
    launch(main, LyricsArguments)
