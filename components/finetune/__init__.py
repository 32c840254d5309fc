"""Stage 2: Prepared data set -> Teacher."""
