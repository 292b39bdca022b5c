"""Cell counting: models, processor and pipeline for the Hub; data, metrics and analysis for the recipe."""
