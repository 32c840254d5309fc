"""Raw tables -> the Prepared data set."""

import os
from pathlib import Path

import duckdb

from longtail.contracts.artifacts import PREPARED, write_artifact
from longtail.contracts.settings import PreprocessSettings


def prepare(
    interactions: str, items: str, users: str | None, output: str | os.PathLike[str], settings: PreprocessSettings
) -> None:
    """First thin version: Parquet tables with the project's own columns, strict leave-last-out."""
    con = duckdb.connect()
    con.read_parquet(interactions).create_view("raw_events")
    con.read_parquet(items).create_view("raw_items")
    columns = con.read_parquet(items).columns
    known = {"item_id", "title", "description", "attributes", "image"}
    numeric = [name for name in columns if name not in known]
    optional = lambda name, kind: name if name in columns else f"null::{kind}"  # noqa: E731
    standardised = ", ".join(
        f'coalesce(("{name}" - avg("{name}") over ()) / nullif(stddev_pop("{name}") over (), 0), 0)::float'
        for name in numeric
    )
    con.execute(f"""create table items as select (row_number() over (order by item_id) - 1)::int as item_code, item_id,
        {optional("title", "varchar")} as title, {optional("attributes", "varchar[]")} as attributes,
        concat_ws(' | ', nullif(title, ''), nullif(array_to_string(attributes, ', '), ''),
                  nullif({optional("description", "varchar")}, '')) as text,
        [{standardised}]::float[] as numeric from raw_items""")
    attributes = "[]::varchar[]"
    source = "select distinct user_id from raw_events"
    if users:
        con.read_parquet(users).create_view("raw_users")
        source = "from raw_users"
        attributes = (
            "list_filter(["
            + ", ".join(
                f"""case when "{name}" is null then null else '{name}=' || {f'least("{name}" // 10, 6)' if kind in ("BIGINT",) else f'"{name}"'} end"""
                for name, kind in zip(con.sql(source).columns, map(str, con.sql(source).types))
                if name not in ("user_id", "zip_code")
            )
            + "], lambda x: x is not null)"
        )
    con.execute(f"""create table users as select (row_number() over (order by user_id) - 1)::int as user_code, user_id,
        {attributes} as attributes from ({source})""")
    con.execute("""create table events as
        with merged as (select user_code, item_code, min(timestamp)::bigint as timestamp, 1::float as weight
            from raw_events join users using (user_id) join items using (item_id) group by all),
        placed as (select *, row_number() over (partition by user_code order by timestamp, item_code) - 1 as position,
            count(*) over (partition by user_code) as n from merged)
        select user_code, position::int as position, item_code, timestamp, weight,
            (case n - position when 1 then 2 when 2 then 1 else 0 end)::tinyint as split
        from placed order by user_code, position""")
    vocabulary = con.sql("select distinct unnest(attributes) as a from users order by a").fetchall()
    count = lambda query: con.sql(f"select count(*) from {query}").fetchall()[0][0]  # noqa: E731
    facts = {
        "protocol": "leave_last_out (strict)",
        "split": {"rule": "leave_last_out"},
        "segment_rule": {"tail_max": 4, "torso_max": 9},
        "counts": {
            "users": count("users"),
            "items": count("items"),
            "events": count("events"),
            "train": count("events where split = 0"),
        },
        "rejected": {},
        "numeric_names": numeric,
        "user_attributes": [row[0] for row in vocabulary],
        "repeats": settings.repeats,
        "settings": settings.model_dump(mode="json"),
    }
    with write_artifact(Path(output), PREPARED, facts) as folder:
        con.sql("from events order by user_code, position").write_parquet(str(folder / "events.parquet"))
        con.sql("""select items.*, coalesce(n, 0)::bigint as train_count from items left join
            (select item_code, count(*) as n from events where split = 0 group by all) using (item_code)
            order by item_code""").write_parquet(str(folder / "items.parquet"))
        con.sql("from users order by user_code").write_parquet(str(folder / "users.parquet"))
        con.sql("""select ''::varchar as "table", 0::bigint as row, ''::varchar as reason, ''::varchar as content
            where false""").write_parquet(str(folder / "rejected.parquet"))
    con.close()
