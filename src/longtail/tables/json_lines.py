"""JSON Lines files: their keys, and their rows as text; lines that hold no object are set apart.

Every value is taken as text (a list of scalars as a list of texts, where all lines have one), so that no value decides how
another is read.
"""

import ast
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.csv as pa_csv

from longtail.contracts.errors import UserError
from longtail.system.machine import available_cores
from longtail.tables.csv_files import read_rows
from longtail.tables.faulty_rows import FaultyRows
from longtail.tables.kinds import ROW_COLUMN, Kind, literal
from longtail.tables.sources import Source
from longtail.tables.text_streams import encoding_of, first_lines

NOT_AN_OBJECT = "not a JSON object"
FAULT = "fault of the row"  # no key of anyone's
NEVER = "\x01"  # a sign that no JSON text holds
LINES_LOOKED_AT = 10
ROWS_OF_KEYS = 100_000  # lines whose keys are learnt where the wanted columns are known


def json_kinds(source: Source, only_first: bool) -> dict[str, Kind]:
    """Keys and what they hold, of all lines or of the first ``ROWS_OF_KEYS``.

    Raises:
        UserError: the first lines show that this is another kind of file; it says which, and how to convert it.
    """
    for file in source.files:
        lines = first_lines(file, encoding_of(file, source.encoding), LINES_LOOKED_AT)
        _check_first_lines(file, [line for line in lines if line.strip()])
    query = "select json_group_structure(try_cast(line as json)) from lines where ltrim(line) like '{%'"
    kinds: dict[str, Kind | None] = {}
    rows = 0
    with _connection() as con:
        for batch in _lines(source, None):
            con.register("lines", pa.table(batch))
            found = json.loads(con.sql(query).fetchall()[0][0] or "{}")
            for key, structure in found.items() if isinstance(found, dict) else ():
                kind, before = _kind(structure), kinds.get(key)
                kinds[key] = kind if before in (None, kind) else before if kind is None else "text"
            rows += batch.num_rows
            if only_first and rows >= ROWS_OF_KEYS:
                break
    if not kinds:
        raise UserError(f"{source.uri}: holds no JSON object with a key; one object a line is needed (JSON Lines)")
    return {key: kind or "text" for key, kind in kinds.items()}


def read_json_lines(source: Source, kinds: Mapping[str, Kind], faults: FaultyRows) -> Iterator[pa.RecordBatch]:
    """The rows of all files: ``ROW_COLUMN``, from 0 over all of them, and the keys as text or lists of texts."""
    structure = json.dumps({key: ["VARCHAR"] if kind == "list" else "VARCHAR" for key, kind in kinds.items()})
    object_ = "case when ltrim(line) like '{%' then line end"
    parsed = f"try(json_transform({object_}, {literal(structure)}))"
    query = (
        f'select "{ROW_COLUMN}", case when found is null then line end as "{FAULT}", unnest(found) '
        f"from (select *, {parsed} as found from lines where trim(line) <> '')"
    )
    with _connection() as con:
        for batch in _lines(source, faults):
            con.register("lines", pa.table(batch))
            table = con.sql(query).to_arrow_table()
            if table[FAULT].null_count < table.num_rows:
                for row in table.filter(table[FAULT].is_valid()).select([0, 1]).to_pylist():
                    faults.add(row[ROW_COLUMN], row[FAULT])
                table = table.filter(table[FAULT].is_null())
            yield from table.remove_column(1).to_batches()


def _connection() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(
        config={"memory_limit": "1GB", "threads": available_cores(), "autoinstall_known_extensions": False}
    )


def _lines(source: Source, faults: FaultyRows | None) -> Iterator[pa.RecordBatch]:
    begin = 0
    for file in source.files:
        reading = pa_csv.ReadOptions(column_names=["line"], encoding=encoding_of(file, source.encoding))
        parsing = pa_csv.ParseOptions(delimiter=NEVER, quote_char=False)
        begin = yield from read_rows(file, begin, reading, parsing, ["line"], faults)


def _kind(structure: Any) -> Kind | None:
    """What DuckDB's description of a key's values comes to."""
    if isinstance(structure, dict):
        return "other"
    if isinstance(structure, list):
        return "list" if isinstance(structure[0], str) else "other"
    return None if structure == "NULL" else "text"


def _check_first_lines(file: str, lines: Sequence[str]) -> None:
    """Refuse the other things that are called .json."""
    first = lines[0].lstrip("\ufeff").strip() if lines else ""
    packed = file.endswith(".gz")
    opened = f"{'gzip.' if packed else ''}open('{Path(file).name}', 'rt')"
    target = Path(file.removesuffix(".gz")).stem + ".lines.jsonl"
    modules = "gzip, json" if packed else "json"
    if first.startswith("["):
        raise UserError(
            f'{file}: is one JSON array, and one object a line is needed (JSON Lines). Convert it: python -c "import '
            f'{modules}; [print(json.dumps(row)) for row in json.load({opened})]" > {target}'
        )
    if not first.startswith("{"):
        raise UserError(
            f"{file}: is not JSON Lines: its first line is {first[:60]!r}, and one JSON object a line is needed"
        )
    if _is_object(first, json.loads):
        return
    if _is_object(first, ast.literal_eval):
        raise UserError(
            f'{file}: holds Python dictionaries, not JSON. Convert it: python -c "import ast, {modules}; '
            f'[print(json.dumps(ast.literal_eval(line))) for line in {opened}]" > {target}'
        )
    if first.endswith("},"):
        raise UserError(f"{file}: has a comma after each object, and one object a line is needed; take the commas out")
    if len(lines) > 1 and not lines[1].lstrip().startswith("{"):
        raise UserError(
            f"{file}: spreads an object over several lines, and one object a line is needed (JSON Lines). Convert it: "
            f"jq -c . {Path(file).name} > {target}"
        )


def _is_object(line: str, parse: Callable[[str], Any]) -> bool:
    try:
        return isinstance(parse(line), dict)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return False
