"""Reads and scores a Student bundle, and the classic baselines. numpy, scipy, onnxruntime; never torch."""
