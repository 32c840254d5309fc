"""Ids as SQL text: what ``contracts/ids.py`` does to one value, for a column, on DuckDB and on Spark."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import pyarrow as pa

from longtail.contracts.ids import WHITE, WHOLE
from longtail.tables.kinds import Kind


class _Scan(Protocol):
    kinds: dict[str, Kind]

    def select(self, columns: Mapping[str, str]) -> Any: ...


def id_sql(column: str, kind: Kind) -> str:
    """The canonical id of a column, null where there is none.

    Args:
        column: the column as SQL text.
        kind: what it holds: text, whole or number (or a time, taken as its text).
    """
    if kind == "whole":
        return f"cast({column} as string)"
    if kind == "number":  # NaN is greater than all numbers, to both engines
        whole = f"cast(try_cast({column} as decimal(38, 0)) as string)"
        return (
            f"case when abs({column}) < 1e37 then "
            f"case when {column} = floor({column}) then {whole} else cast({column} as string) end end"
        )
    text = f"cast({column} as string)"
    trimmed = f"trim(both '{WHITE}' from {text})"
    cleaned = f"nullif(coalesce(nullif(regexp_extract({trimmed}, '^{WHOLE}$', 1), ''), {trimmed}), '')"
    return f"case when {_may_differ(text)} then {cleaned} else {text} end"


def id_columns(
    scan: _Scan, columns: Sequence[str], quote: Callable[[str], str], collect: Callable[[Any], pa.Table]
) -> dict[str, str]:
    """``id_sql`` of several columns of a table; of those whose every text is canonical it is the text itself.

    One look over the ids is cheaper than cleaning them at every use: a fifth of the work of a whole preparation.
    """
    texts = {name: f"cast({quote(name)} as string)" for name in columns if scan.kinds[name] == "text"}
    found = {}
    if texts:
        asked = {
            f"c{i}": f"max(case when {_may_differ(text)} then 1 else 0 end)" for i, text in enumerate(texts.values())
        }
        found = dict(zip(texts, collect(scan.select(asked)).to_pylist()[0].values()))
    return {name: texts[name] if found.get(name) == 0 else id_sql(quote(name), scan.kinds[name]) for name in columns}


def _may_differ(text: str) -> str:
    """Whether a text may have another canonical form: comparisons, at a tenth of the cost of trimming."""
    ends = " or ".join(f"{text} like '%{end}'" for end in (*WHITE, ".0"))
    return f"{text} < '!' or {text} >= '\u00a0' or {ends}"
