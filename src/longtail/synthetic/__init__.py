"""The demo shop: a generator that knows the truth it generated."""
