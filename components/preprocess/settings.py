"""Settings of the first stage: how raw tables become the Prepared data set."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from longtail.contracts.settings_base import Place, Settings

Table = Literal["interactions", "items", "users"]
_READ_WHERE = {  # setting of preprocess -> the other setting, and its value, without which it would do nothing
    "spark_remote": ("engine", "spark"),
    "tie_seed": ("ties", "hash"),
    "max_tied_share": ("split", "leave_last_out"),
    "validation_share": ("split", "global_time"),
    "test_share": ("split", "global_time"),
}


class PreprocessSettings(Settings):
    """How raw tables become the Prepared data set."""

    format: Literal["longtail", "movielens", "amazon-2023"] = Field(
        "longtail", description="Layout of the input files; `longtail` is the project's own columns."
    )
    columns: dict[str, str] = Field(
        default_factory=dict,
        description="Our column name -> its name in your files, for example {user_id: customer, item_id: sku}.",
    )
    header: dict[Table, tuple[str, ...]] = Field(
        default_factory=dict,
        description="Column names of CSV files without a header line: {interactions: [user_id, item_id, timestamp]}.",
    )
    encoding: str | None = Field(
        None, description="Encoding of text files that are not UTF-8, for example latin-1, gbk or utf-16-le."
    )
    quotes: bool | None = Field(
        None,
        description='Whether `"` encloses fields of CSV files; none: it does, but in a TSV whose quotes are not balanced.',
    )
    engine: Literal["duckdb", "spark"] = Field("duckdb", description="Who runs the table expressions.")
    memory_limit_gb: float = Field(4.0, gt=0.1, description="GB that DuckDB may hold before it spills to disk.")
    spark_remote: str | None = Field(
        None, description="Spark Connect address (sc://host:port); none starts a local Spark."
    )
    events: tuple[str, ...] = Field(
        ("view", "click", "cart", "purchase"),
        description="Kinds of events that are taken, all alike; another kind is rejected. Ratings are taken always.",
    )
    min_rating: float | None = Field(None, description="Ratings below it are rejected as dislikes; none keeps all.")
    repeats: Literal["merge", "keep"] = Field(
        "merge",
        description="`merge`: one event per user and item, at its first time; `keep`: every event, and items of "
        "the history may be recommended again.",
    )
    ties: Literal["hash", "file"] = Field(
        "hash",
        description="Order of a user's events at the same time: `hash` draws it; `file`: rows are a log in the order of time "
        "(refused if they are sorted by item).",
    )
    tie_seed: int = Field(0, ge=0, description="Seed of that draw; another one draws other targets out of ties.")
    max_tied_share: float = Field(
        0.1, ge=0, le=1, description="Warn above this share of validation or test targets that were drawn out of a tie."
    )
    min_item_count: int = Field(0, ge=0, description="Items with fewer events lose their events; 0 keeps all.")
    split: Literal["leave_last_out", "global_time", "given"] = Field(
        "leave_last_out",
        description="`leave_last_out`: a user's last event is the test target, the one before it the validation target; "
        "`global_time`: the latest events of all; `given`: the column `split` says train, validation or test.",
    )
    context: tuple[str, ...] = Field(
        (),
        description="Columns of the interactions that are known when a recommendation is asked for (occasion, device, "
        "campaign); requests may then give them, too.",
    )
    trusted_context: tuple[str, ...] = Field(
        (),
        description="Columns of `context` that are taken although they look as if they were known only after the choice.",
    )
    validation_share: float = Field(
        0.1, gt=0, lt=0.5, description="Share of events (by time) that validate, global_time only."
    )
    test_share: float = Field(0.1, gt=0, lt=0.5, description="Share of events (by time) that test, global_time only.")
    segments: Literal["history", "quantile"] = Field(
        "history",
        description="`history`: cold 0, tail 1-4, torso 5-9, head 10+; `quantile`: tail up to the median, torso to 80 %.",
    )
    exposures: Annotated[str, Place()] | None = Field(
        None,
        description="Table of what users were shown (user_id, item_id, and `shown`, 0 where it was not): an event then counts the "
        "more, the fewer users its item was shown to. None: it is not known, so all events count alike.",
    )
    least_exposure: float = Field(
        0.01,
        gt=0,
        le=1,
        description="Items shown to a lesser share of the users count as if to this one; a greater one is steadier, and more biased.",
    )
    max_rejected_share: float = Field(0.1, ge=0, le=1, description="The stage fails above this share of unusable rows.")
    latest_timestamp: int | None = Field(
        None,
        description="Unix seconds; later events are rejected as lying in the future. None takes the clock of the run.",
    )

    renamed: ClassVar[dict[str, str]] = {"event_weights": "events"}
    gone: ClassVar[dict[str, str]] = {
        "rating_scale": "all ratings count alike; take it out, or leave low ratings out by min_rating"
    }

    @model_validator(mode="after")
    def _each_is_read(self) -> "PreprocessSettings":
        fields = type(self).model_fields
        for name, (other, value) in _READ_WHERE.items():
            if getattr(self, name) != fields[name].default and getattr(self, other) != value:
                raise ValueError(
                    f"{name} is read only with {other}: {value}, and {other} is {getattr(self, other)}; take one of them out"
                )
        if self.exposures is None and self.least_exposure != fields["least_exposure"].default:
            raise ValueError(
                "least_exposure is read only with exposures, and no table of what was shown is given; give one, or take it out"
            )
        if self.ties == "file" and self.engine == "spark":
            raise ValueError("ties: file needs the numbers of rows, which spark does not know; take engine: duckdb")
        return self

    @model_validator(mode="after")
    def _context_is_named_once(self) -> "PreprocessSettings":
        for column in self.context:
            if self.context.count(column) > 1:
                raise ValueError(f"context: names {column!r} more than once; name each column once")
        for column in self.trusted_context:
            if column not in self.context:
                raise ValueError(f"trusted_context: {column!r} is not in context; take it out, or name it in both")
        return self
