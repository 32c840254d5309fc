"""The one error a user can cause. Everything that is not a ``UserError`` is a bug and keeps its traceback."""

EXIT_CODE = 2


class UserError(ValueError):
    """A fault in data, settings or environment: one message that names the file, row or key, and the remedy."""
