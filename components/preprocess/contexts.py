"""Context columns of the interactions: what is known of the moment before the choice, ``name=value`` each."""

from collections.abc import Mapping

from longtail.components.preprocess.column_sql import ColumnSql
from longtail.components.preprocess.settings import PreprocessSettings
from longtail.contracts.errors import UserError
from longtail.tables.id_sql import id_sql


def context_sql(sql: ColumnSql, names: Mapping[str, str], settings: PreprocessSettings) -> str:
    """SQL text for all context of a row, joined by ``LIST``; null where there is none.

    names: our column -> its name in the file.

    Raises:
        UserError: a column is not there, or is one of ours.
    """
    parts = []
    for column in sorted(settings.context):
        uri = sql.scan.source.uri
        if column not in sql.scan.kinds:
            raise UserError(
                f"{uri}: has no column {column!r} of context (found: {', '.join(sql.scan.found)}); name one of these"
            )
        ours = next((name for name, theirs in names.items() if theirs == column), None)
        if ours is not None:
            raise UserError(f"context: {column!r} is the {ours} of {uri}; take it out")
        value = id_sql(sql.scalar(column), sql.scan.kinds[column])
        parts.append(f"'{_literal(column)}=' || {value}")
    return f"nullif(concat_ws(chr(31), {', '.join(parts)}), '')" if parts else "cast(null as string)"


def _literal(text: str) -> str:
    return text.replace("'", "''")
