"""Retrieval-augmented generation over a book or a folder of texts."""
