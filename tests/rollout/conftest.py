"""Fixtures: a registry, a cluster with KServe, a model server."""

from helpers_rollout import bundles, knative, model_server, serving, stage  # noqa: F401  (fixtures)
