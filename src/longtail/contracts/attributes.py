"""What ``name=value`` of a user means beyond the value itself."""

OTHER = "(other)"  # ``name=(other)``: a value of few users. Where the data hold this very text, it means the same


def column_of(attribute: str) -> str:
    """What stands before ``=``."""
    return attribute.partition("=")[0]


def is_missing(attribute: str) -> bool:
    """Whether it says that the user has no such value: ``name=``."""
    return attribute.partition("=")[1:] == ("=", "")
