"""longtail: recommendations for users with almost no history."""

__version__ = "0.1.0"
