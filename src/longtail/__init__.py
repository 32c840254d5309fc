"""longtail: recommendations for users with almost no history."""

import os

# onnxruntime would otherwise keep a device id in HOME and report to its maker what it runs. It asks once, when it is loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"
