"""Named entity recognition across data sets, whose label spaces differ."""
