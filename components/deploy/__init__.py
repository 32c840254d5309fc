"""Stage 5: Student bundle -> InferenceService, smoke-tested."""
