"""Trainer recipes and Hub-publishable models for classic deep-learning tasks.

Names are imported when they are first used, so that `import hf_recipes` costs nothing.
"""

from importlib import import_module

PUBLIC = {
    "CellCounter": "cell_counting.modeling_cell_counter",
    "CellCounterConfig": "cell_counting.configuration_cell_counter",
    "CellCounterImageProcessor": "cell_counting.image_processing_cell_counter",
    "CellCountingPipeline": "cell_counting.pipeline_cell_counting",
    "CifarClassifier": "cifar10.modeling_cifar_classifier",
    "CifarClassifierConfig": "cifar10.configuration_cifar_classifier",
    "LabelMap": "ner.labels",
    "PassageIndex": "rag.index",
    "load_documents": "rag.documents",
    "load_reader": "rag.readers",
    "map_by_name": "ner.labels",
    "read_map": "ner.labels",
    "PooledClassifier": "transfer_learning.modeling_pooled_classifier",
    "PooledClassifierConfig": "transfer_learning.configuration_pooled_classifier",
    "QuestionAnsweringPipeline": "question_answering.pipeline_question_answering",
    "RagPipeline": "rag.pipeline",
    "SuperResolver": "super_resolution.modeling_super_resolver",
    "SuperResolverConfig": "super_resolution.configuration_super_resolver",
    "SuperResolutionPipeline": "super_resolution.pipeline_super_resolution",
    "WordVectorConfig": "lyrics.configuration_word_vectors",
    "WordVectorForSequenceClassification": "lyrics.modeling_word_vectors",
}

__all__ = list(PUBLIC)


def __getattr__(name: str):
    if name == "__version__":
        return import_module("importlib.metadata").version("hf-recipes")
    if name not in PUBLIC:
        raise AttributeError(f"hf_recipes has no {name!r}; it has {', '.join(PUBLIC)}")
    return getattr(import_module(f".{PUBLIC[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *PUBLIC])
