"""Stage 1: interactions, items and users -> Prepared data set."""
