"""Settings of lists for everybody."""

from typing import Annotated, Literal

from pydantic import Field, FiniteFloat

from longtail.contracts.settings_base import Place, Settings
from longtail.scoring.asked import Filters, Likeness, Way


class FilterSettings(Settings):
    """What items must say of themselves, as in a question to the server."""

    all: tuple[str, ...] = Field((), description="Items with every one of these attributes.")
    any: tuple[str, ...] = Field((), description="Items with one of these attributes at least; none: all.")
    none: tuple[str, ...] = Field((), description="No items with one of these attributes.")
    ranges: dict[str, tuple[FiniteFloat | None, FiniteFloat | None]] = Field(
        {}, description="Name of a number of the items -> least and greatest value, none: no bound."
    )

    @property
    def filters(self) -> Filters:
        return Filters(self.all, self.any, self.none, self.ranges)


class RecommendSettings(Settings):
    """Which items everybody may be given, and how lists are shaped: each as in a question to the server."""

    k: int = Field(10, ge=1, description="Items a user.")
    filters: FilterSettings = Field(FilterSettings(), description="What items must say of themselves.")
    exclude: tuple[str, ...] = Field((), description="Ids of items that nobody is given.")
    max_per: dict[str, Annotated[int, Field(ge=1)]] = Field(
        {}, description="Items at most with an attribute, or with each value of a name: {brand: 2}."
    )
    diversity: float = Field(0.0, ge=0, le=1, description="0 orders by score alone, 1 by how unlike items are.")
    diversity_by: Way = Field("mmr", description="Maximal Marginal Relevance, or a determinantal point process.")
    diversity_on: Likeness | None = Field(
        None, description="Which likeness counts; none: of the vectors, if the bundle has trained ones."
    )
    fold: bool = Field(False, description="Of near-duplicates only the best one.")
    context: tuple[str, ...] = Field((), description="What is known of everybody's moment, ``name=value`` each.")
    explain: bool = Field(True, description="Say why each item is given; without, reason, source and about are empty.")
    availability: Annotated[str | None, Place()] = Field(
        None, description="YAML file of items that may not be given now, and of items added by text, as of the server."
    )
    rules: Annotated[str | None, Place()] = Field(None, description="YAML file of the shop's rules, as of the server.")
    not_repeated_from: tuple[Annotated[str, Place()], ...] = Field(
        (),
        description="Folders of earlier lists or campaigns: what they gave to a user is not given to that user again.",
    )
    users_per_part: int = Field(
        5000, ge=1, le=100_000, description="Users of each file that is written; a killed run loses the parts in work."
    )
    processes: int = Field(0, ge=0, description="Processes that answer, each with the bundle in memory; 0: one a core.")
    engine: Literal["local", "spark"] = Field("local", description="Who runs them: this machine, or Spark's executors.")
    spark_remote: str | None = Field(
        None, description="Spark Connect address (sc://host:port); none starts a local Spark."
    )
