"""A Student bundle read and asked. numpy, scipy, onnxruntime; never torch."""
