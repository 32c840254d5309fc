"""The pipeline, how to run it here or submit it, and the command `longtail`."""
