"""What a column holds, as far as the stages care, told from its Arrow type."""

from typing import Any, Literal

import pyarrow as pa

ROW_COLUMN = "row of the file"  # of Parquet files made of text: the row's number in the table, from 0
Kind = Literal["text", "whole", "number", "time", "list", "other"]


def kind_of(type_: pa.DataType) -> Kind | None:
    """The kind; None of a column without any value, which fits every kind. Bytes are text, lists of scalars lists."""
    type_ = _plain(type_)
    if pa.types.is_null(type_):
        return None
    if pa.types.is_integer(type_):
        return "whole"
    if pa.types.is_floating(type_) or pa.types.is_decimal(type_):
        return "number"
    if pa.types.is_timestamp(type_) or pa.types.is_date(type_):
        return "time"
    if is_bytes(type_) or _is_text(type_):
        return "text"
    if is_list(type_):
        return "list" if kind_of(type_.value_type) in ("text", "whole", "number", None) else "other"
    return "other"


def is_list(type_: pa.DataType) -> bool:
    return any(test(type_) for test in (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list))


def is_bytes(type_: pa.DataType) -> bool:
    """Text that an older writer did not mark as text arrives so."""
    type_ = _plain(type_)
    tests = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view, pa.types.is_fixed_size_binary)
    return any(test(type_) for test in tests)


def _is_text(type_: pa.DataType) -> bool:
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_boolean)
    return any(test(type_) for test in tests) or getattr(type_, "extension_name", "") == "arrow.uuid"


def _plain(type_: Any) -> Any:
    """Without the dictionary or the extension around it; a UUID stays, as engines give it as one."""
    if pa.types.is_dictionary(type_):
        return _plain(type_.value_type)
    if isinstance(type_, pa.BaseExtensionType) and type_.extension_name != "arrow.uuid":
        return _plain(type_.storage_type)
    return type_


def literal(text: str) -> str:
    """A text as SQL."""
    return "'" + text.replace("'", "''") + "'"
