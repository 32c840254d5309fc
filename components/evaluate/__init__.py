"""Stage 4: Student bundle -> Evaluation and gate."""
