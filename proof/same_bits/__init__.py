"""The same bits for the same row: on every target, in every place, and those of the golden file."""
