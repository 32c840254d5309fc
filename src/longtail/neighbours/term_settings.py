"""Settings of the sparse item-to-item term."""

from pydantic import Field

from longtail.contracts.settings_base import Settings


class TermSettings(Settings):
    """What makes items neighbours, and how many neighbours an item keeps."""

    neighbours: int = Field(
        300, ge=1, description="Neighbours of an item that the sparse matrix keeps; 8 bytes each in the bundle."
    )
    cooccurrence: bool = Field(
        True, description="Items that are chosen after an item, or beside it, are its neighbours."
    )
    lexical: bool = Field(
        True, description="Use the words of texts: alike items are neighbours, and words are part of an item's vector."
    )
