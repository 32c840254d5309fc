"""The layouts that are known by name, in the shapes their publishers ship."""

import gzip
import json
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
import s3fs
from moto.server import ThreadedMotoServer


def lines(path: Path, rows: list[Any]) -> Path:
    content = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows).encode("latin-1")
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def test_movielens_100k_files(run, engine: str, tmp_path: Path):
    ratings = lines(
        tmp_path / "u.data", [f"7\t{item}\t{stars}\t{88 + item}" for item, stars in ((1, 5), (2, 3), (3, 1))]
    )
    flags = lambda *chosen: "|".join("1" if n in chosen else "0" for n in range(19))  # noqa: E731
    movies = lines(
        tmp_path / "u.item",
        [
            f"1|Café (1995)|01-Jan-1995||http://x|{flags(3, 5)}",
            f"2|No year|||http://x|{flags(0)}",
            f"3|Old One (1955)|||http://x|{flags(18)}",
        ],
    )
    people = lines(tmp_path / "u.user", ["7|24|M|technician|85711", "8|53|F|other|94043"])
    prepared = run(ratings, movies, people, engine=engine, format="movielens")
    assert prepared.user_ids == ["7", "8"]
    assert prepared.user_attributes[0] == ["age=24", "gender=M", "occupation=technician", "zip_code=85711"]
    assert prepared.item_texts == ["Café (1995) | Animation, Comedy", "No year", "Old One (1955) | Western"]
    assert prepared.facts["numeric_names"] == ["release_year"]
    np.testing.assert_allclose(prepared.numeric[:, 0], [1, 0, -1])  # 1995 and 1955: mean 1975, sd 20
    assert prepared.item_codes.tolist() == [0, 1, 2]


def test_movielens_csv_files(run, tmp_path: Path):
    ratings = lines(
        tmp_path / "ratings.csv", ["userId,movieId,rating,timestamp", *[f"1,{n},4.5,{n}" for n in (1, 2, 3)]]
    )
    movies = lines(
        tmp_path / "movies.csv",
        ["movieId,title,genres", '1,"Heat, The (1995)",Action|Crime', "2,B,(no genres listed)", "3,C,Drama"],
    )
    prepared = run(ratings, movies, format="movielens")
    assert prepared.item_texts == ["Heat, The (1995) | Action, Crime", "B", "C | Drama"]
    assert prepared.timestamps.tolist() == [1_000_000, 2_000_000, 3_000_000]


def test_amazon_reviews_2023(run, tmp_path: Path):
    reviews = lines(
        tmp_path / "All_Beauty.jsonl.gz",
        [
            {
                "rating": 5.0,
                "title": "love",
                "parent_asin": asin,
                "asin": "x",
                "user_id": "U",
                "timestamp": 1588687728923 + n,
            }
            for n, asin in enumerate(("B1", "B2", "B3"))
        ]
        + [{"rating": 1.0, "parent_asin": "B3", "user_id": "V", "timestamp": 1588687728999}],
    )
    meta = lines(
        tmp_path / "meta_All_Beauty.jsonl",
        [
            {"parent_asin": "B1", "title": "Soap", "features": ["mild"], "description": ["For", "hands"], "price": 10.0,
             "categories": ["Beauty", "Bath"], "store": "Suds", "average_rating": 4.8, "rating_number": 10,
             "details": {"Brand": "Suds"}, "images": [{"large": "http://x"}]},
            {"parent_asin": "B2", "title": "Comb", "features": [], "description": [], "price": None, "categories": [],
             "store": None, "average_rating": 1.0, "details": {}},
            {"parent_asin": "B3", "title": "Wax", "features": [], "description": [], "price": 20.0, "categories": ["Hair"],
             "store": None, "average_rating": 2.0, "details": {"x": 1}},
        ],
    )  # fmt: skip
    prepared = run(reviews, meta, format="amazon-2023", min_rating=2)
    assert prepared.timestamps.tolist() == [1588687728923000, 1588687728924000, 1588687728925000]
    assert prepared.item_texts == ["Soap | Suds, Beauty, Bath | mild For hands", "Comb", "Wax | Hair"]
    assert prepared.facts["numeric_names"] == ["price"]  # average ratings know the future: not used
    np.testing.assert_allclose(prepared.numeric[:, 0], [-1, 0, 1])
    assert prepared.facts["rejected"] == {"rating below min_rating": 1}
    assert prepared.user_ids == ["U", "V"]


def test_json_keys_that_come_late_are_seen(run, tmp_path: Path):
    events = [{"user_id": f"u{n // 3}", "item_id": "abc"[n % 3], "timestamp": n} for n in range(300)]
    events[299] |= {"event": "purchase"}
    prepared = run(
        lines(tmp_path / "e.jsonl", events), [{"item_id": name, "title": name} for name in "abc"], events=["sale"]
    )
    assert prepared.facts["rejected"] == {"unknown event": 1}


def test_attributes_in_whatever_form_they_are_written(run, engine: str, tmp_path: Path):
    events = [{"user_id": "u", "item_id": name, "timestamp": n} for n, name in enumerate("abcd")]
    written = ["home|red", '["home", "red"]', "['home', 'red']", "['home' 'red']"]
    items = [{"item_id": name, "title": "t", "attributes": text} for name, text in zip("abcd", written)]
    prepared = run(events, items, engine=engine)
    assert prepared.item_attributes == [["home", "red"]] * 4
    mixed = [
        {"item_id": name, "title": "t", "attributes": text} for name, text in zip("abcd", [["x", 1], "x|y", None, []])
    ]
    assert run(events, lines(tmp_path / "i.jsonl", mixed), engine=engine).item_attributes == [
        ["x", "1"],
        ["x", "y"],
        [],
        [],
    ]


def test_users_lists_written_as_text(run, tmp_path: Path):
    events = [{"user_id": "u", "item_id": name, "timestamp": n} for n, name in enumerate("abc")]
    users = tmp_path / "users.csv"
    users.write_text("user_id,likes,motto\nu,\"['x', 'y &amp; z']\",[sic] yes\nv,[],no\n")
    prepared = run(events, [{"item_id": name, "title": name} for name in "abc"], str(users))
    assert prepared.user_attributes == [["likes=x", "likes=y &amp; z", "motto=[sic] yes"], ["likes=", "motto=no"]]


def test_html_is_decoded_once_in_texts_and_never_in_ids(run, engine: str):
    names = ["a&amp;b", "a&b", "c"]
    events = [{"user_id": "u", "item_id": name, "timestamp": n} for n, name in enumerate(names)]
    items = [
        {"item_id": name, "title": "Tea &amp;amp; milk", "description": "caf&eacute;", "attributes": ["R&amp;D"]}
        for name in names
    ]
    prepared = run(events, items, engine=engine)
    assert prepared.item_ids == ["a&amp;b", "a&b", "c"]
    assert prepared.titles[0] == "Tea &amp; milk"
    assert prepared.item_texts[0] == "Tea &amp; milk | R&D | café"


def test_tables_in_a_bucket(run, monkeypatch: pytest.MonkeyPatch):
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "any")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        s3fs.S3FileSystem.clear_instance_cache()  # one of another test would ask that test's server
        client = boto3.client("s3")
        client.create_bucket(Bucket="shop-events")
        for part, item in enumerate("abc"):
            body = f"user_id,item_id,timestamp\nu,{item},{part}\n"
            client.put_object(Bucket="shop-events", Key=f"log/{part}.csv", Body=body.encode())
        items = "".join(json.dumps({"item_id": name, "title": name}) + "\n" for name in "abc")
        client.put_object(Bucket="shop-events", Key="items.jsonl.gz", Body=gzip.compress(items.encode()))
        prepared = run("s3://shop-events/log/*.csv", "s3://shop-events/items.jsonl.gz")
        assert prepared.item_codes.tolist() == [0, 1, 2]
    finally:
        server.stop()
