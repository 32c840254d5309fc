"""SQL text for one table's columns, by what each column holds.

Text leaves here as null or non-empty; lists leave as one text joined by ``LIST``, which both engines can split again.
"""

from collections.abc import Sequence

from longtail.contracts.errors import UserError
from longtail.tables.engine import Engine, Scan
from longtail.tables.id_sql import id_columns
from longtail.tables.kinds import Kind
from longtail.tables.time_sql import microseconds

LIST = "\x1f"  # the ASCII unit separator, written chr(31) in SQL


class ColumnSql:
    """``ids``: the columns that hold ids."""

    def __init__(self, engine: Engine, scan: Scan, ids: Sequence[str]) -> None:
        self._quote = engine.quote
        self.scan = scan
        for column in ids:
            self.scalar(column)  # or the message that it is none
        self._ids = id_columns(scan, ids, engine.quote, engine.collect)

    def text(self, column: str) -> str:
        if self.scan.kinds[column] == "list":
            return f"nullif(trim(array_join({self._quote(column)}, ' ')), '')"
        return f"nullif(trim(cast({self.scalar(column)} as string)), '')"

    def id(self, column: str) -> str:
        return self._ids[column]

    def number(self, column: str) -> str:
        return f"try_cast({self.scalar(column)} as double)"

    def time(self, column: str) -> str:
        return microseconds(self.scalar(column), self.scan.kinds[column])

    def rating(self, column: str) -> str:
        """The number; NaN where there is something that is no number, null where there is nothing."""
        number, text = self.number(column), self.text(column)
        if self.scan.kinds[column] != "text":
            return number
        return f"coalesce({number}, case when {text} is not null then cast('NaN' as double) end)"

    def joined(self, column: str) -> str:
        """A list as one text; plain text is a list whose items are parted by ``|``, unless it is written as a list."""
        if self.scan.kinds[column] == "list":
            return f"nullif(array_join({self._quote(column)}, chr(31)), '')"
        text = self.text(column)
        return f"case when {text} like '[%]' then {text} else replace({text}, '|', chr(31)) end"

    def written(self, column: str) -> str:
        """A text as it is, a list as it is written: ``[0.1, 0.2]``."""
        value = self._quote(column) if self.scan.kinds[column] == "list" else self.scalar(column)
        return f"nullif(trim(cast({value} as string)), '')"

    def scalar(self, column: str) -> str:
        kind: Kind = self.scan.kinds[column]
        if kind in ("list", "other"):
            raise UserError(
                f"{self.scan.source.uri}: column {column!r} holds lists, records or lengths of time; one text, number or "
                "time a row is needed"
            )
        return self._quote(column)
