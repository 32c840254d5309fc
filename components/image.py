"""The image in which the stages run on a cluster. Local runs give their tasks' images themselves."""

import os

from longtail import __version__

IMAGE = os.environ.get("LONGTAIL_TRAIN_IMAGE", f"longtail-train:{__version__}")
