"""Where Student bundles are published, which of them is the champion, and how it came to be. No torch, no kfp.

``open_registry(address)`` in ``opening`` gives a ``Registry`` (``interface``); docs/registry.md says what lies where.
"""
