"""Times as SQL text: whole microseconds since 1970 (UTC), on DuckDB and on Spark.

Microseconds, since that is the finest unit both engines have and 64 bits hold it for 290,000 years; nanoseconds are rounded.
"""

from longtail.tables.kinds import Kind

SECOND = 1_000_000
ISO = (  # both engines' own parsers take more than this, each something else (Spark: "yesterday")
    "^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ]([01][0-9]|2[0-3]):[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?"
    "( ?UTC|Z|[+-][0-9]{2}(:?[0-9]{2})?)?)?$"
)


def microseconds(column: str, kind: Kind) -> str:
    """SQL text for whole microseconds since 1970; null where there is no time.

    A number's size tells its unit, row by row: below 1e11 seconds (until the year 5138), below 1e14 milliseconds (from
    1973), below 1e17 microseconds, then nanoseconds. Text is a number, or a date or time of ISO 8601, UTC without a zone.
    """
    if kind == "time":
        return f"unix_micros(try_cast({column} as timestamp))"
    # try_cast: DuckDB takes a NaN to lie where the file's statistics, which leave NaN out, say that all numbers do
    whole = kind == "whole"  # whole numbers stay so: faster, and exact
    number = f"try_cast({column} as {'bigint' if whole else 'double'})"
    cases = []
    for factor, limit in ((SECOND, 10**11), (1000, 10**14), (1, 10**17)):
        scaled = f"{number} * {factor}" if whole else f"try_cast(floor({number} * {factor} + 0.5) as bigint)"
        cases.append(f"when {number} between -{limit} and {limit} then {scaled}")
    cases.append(f"when abs({number} / 1e3) < 9e15 then try_cast(floor({number} / 1e3 + 0.5) as bigint)")
    if kind != "text":
        return f"case {' '.join(cases)} end"
    date = f"nullif(regexp_extract(trim({column}), '{ISO}', 0), '')"
    return f"case {' '.join(cases)} when {number} is null then unix_micros(try_to_timestamp({date})) end"
