"""Runs the pipeline here: kfp.local in a worker process, tasks as processes or containers."""
