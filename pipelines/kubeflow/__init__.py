"""The client of Kubeflow Pipelines: submit, follow, schedule."""
