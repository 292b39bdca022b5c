"""Song lyrics: word vectors, and what they and other representations know of genre and valence."""
