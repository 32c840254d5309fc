"""First lines of CSV files that look like data, not like names."""

import re
from collections.abc import Sequence

from longtail.contracts.errors import UserError
from longtail.tables.engine import Scan

NUMBER_OR_DATE = re.compile(r"[-+]?[0-9]+([.][0-9]+)?([eE][-+]?[0-9]+)?|[0-9]{4}-[0-9]{2}-[0-9]{2}([T ].*)?")


def refuse_data(scan: Scan, columns: Sequence[str], table: str, needed: Sequence[str]) -> None:
    """Refuse names that look like data: the file has no header line, and its first row would be lost.

    columns: the names in question; needed: our names of the columns that the table must have.

    Raises:
        UserError: how to name the columns without losing the row.
    """
    source, found = scan.source, scan.found
    if source.format != "csv" or source.header is not None or found == tuple(map(str, range(len(found)))):
        return  # pandas names columns without a name by their numbers
    if any(_is_data(name, scan.first_row.get(name, "")) for name in columns):
        names = ", ".join([*needed, *("..." for _ in found[len(needed) : len(needed) + 1])])
        raise UserError(
            f"{source.uri}: its first line looks like data, not like names of columns ({', '.join(found)}); if there is no "
            f"header line, name the {len(found)} columns in their order: --set 'preprocess.header={{{table}: [{names}]}}'"
        )


def _is_data(name: str, value: str) -> bool:
    """A number, a date, or digits and letters in the places where the first row has them: i054 over i006."""
    if NUMBER_OR_DATE.fullmatch(name):
        return True
    return bool(re.search("[0-9]", name)) and _shape(name) == _shape(value.strip())


def _shape(text: str) -> str:
    return re.sub("[a-zA-Z]", "a", re.sub("[0-9]", "0", text))
