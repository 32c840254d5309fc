"""Fixtures: a registry, a cluster with KServe, a model server."""

from helpers_rollout import bundles, knative, model_server, quick_looks, serving, stage  # noqa: F401  (fixtures)
