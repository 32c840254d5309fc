"""Users' attributes by hand: what is missing, rare, dominating or no number, the same on both engines."""

import random
from typing import Any

import pytest

from longtail.scoring.known_attributes import KnownAttributes

ITEMS = [{"item_id": name, "title": name.upper()} for name in "abc"]


def events(user: str = "m") -> list[dict[str, Any]]:
    return [{"user_id": user, "item_id": item, "timestamp": n} for n, item in enumerate("abc")]


def of_users(data) -> dict[str, list[str]]:
    return dict(zip(data.user_ids, data.user_attributes))


def test_what_some_users_lack_is_a_value(run, engine: str):
    """m has no row, so that all are missing; plan is known of everybody listed, and nothing is known of empty."""
    users = [
        {"user_id": "a", "plan": "free", "age": 30.0, "likes": ["x", "", "y"], "town": "Ulm", "empty": None},
        {"user_id": "b", "plan": "pro", "age": None, "likes": [], "town": " ", "empty": None},
        {"user_id": "c", "plan": "pro", "age": float("nan"), "likes": None, "town": None, "empty": None},
        {"user_id": "d", "plan": "pro", "age": float("inf"), "likes": ["x"], "town": "Ulm", "empty": None},
        {"user_id": None, "plan": None, "age": None, "likes": None, "town": None, "empty": None},
    ]
    data = run(events(), ITEMS, users, engine=engine, max_rejected_share=0.5)
    assert of_users(data) == {
        "a": ["age=30", "likes=x", "likes=y", "plan=free", "town=Ulm"],
        "b": ["age=", "likes=", "plan=pro", "town="],
        "c": ["age=", "likes=", "plan=pro", "town="],
        "d": ["age=", "likes=x", "plan=pro", "town=Ulm"],
        "m": ["age=", "likes=", "town="],
    }
    assert data.facts["user_attributes"] == [
        "age=", "age=30", "likes=", "likes=x", "likes=y", "plan=free", "plan=pro", "town=", "town=Ulm",
    ]  # fmt: skip


def test_where_nothing_is_missing_nothing_is_added(run):
    users = [{"user_id": "a", "plan": "free"}, {"user_id": "b", "plan": "pro"}]
    assert of_users(run(events(), ITEMS, users)) == {"a": ["plan=free"], "b": ["plan=pro"], "m": []}


def town(n: int) -> str | None:
    """30 in Ulm, 10 in Bonn, 9 in Jena, one in nearly 200 places each, 5 nowhere."""
    return None if n < 5 else "Ulm" if n < 35 else "Bonn" if n < 45 else "Jena" if n < 54 else f"place {n}"


def test_of_many_values_the_frequent_ones_are_kept(run, engine: str):
    users = [{"user_id": f"u{n:03d}", "town": town(n), "code": f"x{n}"} for n in range(254)]
    data = run(events("u000"), ITEMS, users, engine=engine)
    assert data.facts["user_attributes"] == ["town=", "town=(other)", "town=Bonn", "town=Ulm"]
    assert [data.user_attributes[n] for n in (0, 5, 44, 45, 200)] == [
        ["town="], ["town=Ulm"], ["town=Bonn"], ["town=(other)"], ["town=(other)"],
    ]  # fmt: skip
    assert data.facts["left_out_user_attributes"] == {"code": 254}


def test_at_most_200_values_are_kept_the_first_of_equals(run):
    """202 towns: t000 has 11 users, the others 10 each; the last two by name are others."""
    users = [{"user_id": f"u{n}-{k}", "town": f"t{n:03d}"} for n in range(202) for k in range(10 + (n == 201))]
    data = run(events(), ITEMS, users)
    kept = [f"town=t{n:03d}" for n in range(199)] + ["town=t201"]
    assert data.facts["user_attributes"] == sorted([*kept, "town=(other)"])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0] * 90 + list(range(1, 31)), ["n=0", "n=1-6", "n=7-30"]),  # three of four are 0; the 96th of 120 is 6
        ([50] * 90 + list(range(30)), ["n=0-23", "n=24-50"]),  # the 24th is 23, and the others are the highest itself
        ([3.5, 0.25] * 50, ["n=0.25", "n=3.5"]),
        ([2.0, 7.0] * 50, ["n=2", "n=7"]),
        (list(range(1_000_001, 1_000_026)),
         ["n=1000001-1000005", "n=1000006-1000010", "n=1000011-1000015", "n=1000016-1000020", "n=1000021-1000025"]),
        ([float("inf"), float("nan"), None, float("-inf")] * 5 + list(range(25)),
         ["n=", "n=0-4", "n=5-9", "n=10-14", "n=15-19", "n=20-24"]),
        ([1e300, 1.5], ["n=1.5", "n=1e+300"]),
    ],
)  # fmt: skip
def test_bands_are_distinct_and_do_not_hang_on_the_order_of_rows(run, values: list[Any], expected: list[str], tmp_path):
    users = [{"user_id": f"u{n:03d}", "n": None if value is None else float(value)} for n, value in enumerate(values)]
    found = []
    for seed in range(2):
        random.Random(seed).shuffle(users)
        found.append(run(events("u000"), ITEMS, users, output=tmp_path / str(seed)))
    assert found[0].facts["user_attributes"] == sorted(expected)
    assert found[0].user_attributes == found[1].user_attributes
    known = KnownAttributes(found[0].facts["user_attributes"])
    for value, attributes in zip(values, found[0].user_attributes):  # what a client says is what training had
        assert (
            known.complete([] if value is None or value != value or abs(value) == float("inf") else [f"n={value}"])
            == attributes
        )


def test_engines_write_numbers_alike(run, engine: str):
    users = [{"user_id": f"u{n}", "n": value} for n, value in enumerate([0.00001, 0.5, 2.0, -0.0, 1e16])]
    assert run(events("u0"), ITEMS, users, engine=engine).facts["user_attributes"] == [
        "n=0", "n=0.5", "n=1e+16", "n=1e-05", "n=2",
    ]  # fmt: skip
