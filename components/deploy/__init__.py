"""Stage 6: Student bundle -> InferenceService, smoke-tested."""
