"""Items that the shop adds while a bundle serves, known by their text: what is said of each."""

from typing import Annotated

from pydantic import Field, FiniteFloat, model_validator

from longtail.contracts.settings_base import Settings

MOST_ADDED = 10_000  # at 25 ms each that is four minutes of one core; more belong into the catalogue


class AddedItem(Settings):
    """As the items table says it. Its text is title, attributes and ``text``, as preprocess puts them together."""

    title: str | None = Field(None, min_length=1, max_length=1000, description="As answers give it.")
    text: str | None = Field(None, min_length=1, max_length=10_000, description="What else is said of it.")
    attributes: tuple[Annotated[str, Field(min_length=1, max_length=1000)], ...] = Field(
        (), max_length=1000, description="As filters and rules name them."
    )
    numbers: dict[str, FiniteFloat] = Field({}, description="For filters by range: those that the bundle holds.")

    @model_validator(mode="after")
    def _something_is_known(self) -> "AddedItem":
        if not ((self.title or "").strip() or (self.text or "").strip()):
            raise ValueError("give title, text or both: it is known by its words alone")
        return self

    @property
    def words(self) -> str:
        """What the language model reads."""
        return " | ".join(part for part in (self.title, ", ".join(self.attributes), self.text) if part)
