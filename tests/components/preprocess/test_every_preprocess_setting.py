"""Every setting of preprocess changes something that later stages read, or is refused: none is there for nothing."""

import logging
from typing import Any

import pytest

from longtail.components.preprocess import prepare as stage
from longtail.components.preprocess.settings import PreprocessSettings
from longtail.contracts.errors import UserError
from longtail.contracts.prepared import PreparedDataset
from longtail.contracts.settings_base import parse
from longtail.pipelines.run_settings import RunSettings

pytestmark = pytest.mark.slow  # they run the stage for every setting

KINDS = [("view", None), (None, 2), (None, 5), ("cart", None)]
ITEMS = [{"item_id": f"i{n}", "title": f"T{n} (19{n + 80})", "sku": f"i{n}"} for n in range(12)]
EVENTS = [
    {
        "user_id": f"u{user}", "item_id": f"i{(user * 5 + n * (user % 3 + 1)) % 11}", "other": f"i{n}", "device": f"d{n % 3}",
        "timestamp": 1600000000 + (n + user) // 2, "event": KINDS[n % 4][0], "value": KINDS[n % 4][1],
    }
    for user in range(9)
    for n in range(user % 4 + 3)
]  # fmt: skip
GLOBAL = {"split": "global_time", "validation_share": 0.15, "test_share": 0.3}

CHANGES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {  # setting -> the others beside it, and its changed value
    "format": ({}, {"format": "movielens"}),  # reads the years out of titles
    "columns": ({}, {"columns": {"item_id": "other"}}),
    "repeats": ({}, {"repeats": "keep"}),
    "ties": ({}, {"ties": "file"}),
    "tie_seed": ({}, {"tie_seed": 1}),
    "min_rating": ({}, {"min_rating": 3}),
    "min_item_count": ({}, {"min_item_count": 3}),
    "split": ({}, {"split": "global_time"}),
    "context": ({}, {"context": ["device"]}),
    "validation_share": (GLOBAL, {"validation_share": 0.45}),
    "test_share": (GLOBAL, {"test_share": 0.45}),
    "segments": ({}, {"segments": "quantile"}),
    "latest_timestamp": ({"max_rejected_share": 0.9}, {"latest_timestamp": 1600000004}),
}
STOPS: dict[str, tuple[dict[str, Any], str]] = {
    "max_rejected_share": ({"max_rejected_share": 0.0, "events": ["view"]}, "above max_rejected_share 0"),
    "events": ({"events": ["view"], "max_rejected_share": 0.0}, "unknown event"),
}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "event_weights": ({"event_weights": {"view": 1}}, "'preprocess.event_weights' is now 'preprocess.events'"),
    "rating_scale": (
        {"rating_scale": "user"},
        "no setting 'preprocess.rating_scale' any more: all ratings count alike; .* by min_rating",
    ),
    "spark_remote": (
        {"spark_remote": "sc://host"},
        "spark_remote is read only with engine: spark, and engine is duckdb",
    ),
    "tie_seed": ({"tie_seed": 1, "ties": "file"}, "tie_seed is read only with ties: hash, and ties is file"),
    "ties": ({"ties": "file", "engine": "spark"}, "ties: file needs the numbers of rows, which spark does not know"),
    "validation_share": ({"validation_share": 0.2}, "validation_share is read only with split: global_time"),
    "test_share": ({"test_share": 0.2}, "test_share is read only with split: global_time"),
    "trusted_context": (
        {"context": ["device"], "trusted_context": ["hour"]},
        "trusted_context: 'hour' is not in context",
    ),
    "max_tied_share": ({"max_tied_share": 0.2, "split": "global_time"}, "read only with split: leave_last_out"),
    "least_exposure": (
        {"least_exposure": 0.1},
        "least_exposure is read only with exposures, and no table of what was shown",
    ),
}
ROWS = "".join(f"{event['user_id']},{event['item_id']},{event['timestamp']}\n" for event in EVENTS)
OF_TEXT: dict[str, tuple[bytes, dict[str, Any]]] = {  # setting -> a file that cannot be read without it
    "header": (ROWS.encode(), {"header": {"interactions": ["user_id", "item_id", "timestamp"]}}),
    "encoding": (f"user_id,item_id,timestamp\ncafé,i1,1600000000\n{ROWS}".encode("latin-1"), {"encoding": "latin-1"}),
    "quotes": (f'user_id,item_id,timestamp\n"u,i1,1600000000\n{ROWS}'.encode(), {"quotes": False}),
}
GONE = {"event_weights", "rating_scale"}  # keys of earlier versions, refused with a word on why
OF_THE_ENGINE = {"engine": "spark", "memory_limit_gb": 2.5, "spark_remote": "sc://host:15002"}


def test_no_setting_is_forgotten():
    tested = {*CHANGES, *STOPS, *REFUSED, *OF_TEXT, *OF_THE_ENGINE, "max_tied_share", "exposures"}
    assert tested - GONE == set(PreprocessSettings.model_fields)


def what_is_read(data: PreparedDataset) -> Any:
    """All that later stages read: without what the manifest repeats of the settings or counts."""
    events = (data.user_codes, data.item_codes, data.timestamps, data.splits)
    facts = [data.facts[name] for name in ("protocol", "repeats", "segment_rule", "user_attributes", "numeric_names")]
    contexts = data.contexts_of(range(len(data.item_codes)))
    return [
        *[array.tolist() for array in events],
        contexts,
        data.item_texts,
        data.item_ids,
        data.user_attributes,
        facts,
    ]


@pytest.mark.parametrize("setting", CHANGES)
def test_a_changed_setting_changes_what_is_read(run, setting: str, tmp_path):
    beside, change = CHANGES[setting]
    before = run(EVENTS, ITEMS, output=tmp_path / "before", **beside)
    after = run(EVENTS, ITEMS, output=tmp_path / "after", **(beside | change))
    assert what_is_read(before) != what_is_read(after)


@pytest.mark.parametrize("setting", STOPS)
def test_a_changed_setting_stops_the_stage(run, setting: str, tmp_path):
    change, message = STOPS[setting]
    run(EVENTS, ITEMS)
    with pytest.raises(UserError, match=message):
        run(EVENTS, ITEMS, output=tmp_path / "after", **change)


@pytest.mark.parametrize("setting", OF_TEXT)
def test_a_text_file_is_read_as_it_is_said_to_be(run, setting: str, tmp_path):
    content, said = OF_TEXT[setting]
    (tmp_path / "log.csv").write_bytes(content)
    with pytest.raises(UserError, match=rf"log\.csv: .*preprocess\.{setting}="):
        run(tmp_path / "log.csv", ITEMS)
    assert run(tmp_path / "log.csv", ITEMS, **said).facts["counts"]["rows"] == content.count(b",16000000")


@pytest.mark.parametrize("setting", REFUSED)
def test_a_setting_that_would_do_nothing_is_refused(setting: str):
    change, message = REFUSED[setting]
    with pytest.raises(UserError, match=message):
        parse(RunSettings, {"preprocess": change}, "run.yaml")


def test_a_trusted_column_is_taken(run, tmp_path):
    events = [event | {"price": event["device"]} for event in EVENTS]
    with pytest.raises(UserError, match="known only after the choice"):
        run(events, ITEMS, context=["price"])
    assert run(events, ITEMS, context=["price"], trusted_context=["price"]).facts["context"][0] == "price=d0"


def test_the_split_may_be_given(run, tmp_path):
    parts = ("train", "validation", "test")
    events = [
        event | {"split": parts[min(place, 2)]}
        for user in range(9)
        for place, event in enumerate(event for event in EVENTS if event["user_id"] == f"u{user}")
    ]
    before, after = run(events, ITEMS, output=tmp_path / "before"), run(events, ITEMS, split="given")
    assert what_is_read(before) != what_is_read(after)


def test_what_was_shown_changes_what_events_count(run, tmp_path):
    (tmp_path / "shown.csv").write_text("user_id,item_id\nu1,i1\nu2,i1\nu1,i2\n")
    shown = str(tmp_path / "shown.csv")
    without, known = run(EVENTS, ITEMS, output=tmp_path / "without"), run(EVENTS, ITEMS, exposures=shown)
    bounded = run(EVENTS, ITEMS, exposures=shown, least_exposure=0.5, output=tmp_path / "bounded")
    assert without.exposure_weights() is None
    assert known.exposure_weights().tolist() != bounded.exposure_weights().tolist()


def test_which_events_are_taken_may_be_set():
    taken = parse(RunSettings, {"preprocess": {"events": ["purchase", "rent"]}}, "x").preprocess.events
    assert taken == ("purchase", "rent")


def test_the_share_of_drawn_targets_decides_whether_it_is_said(run, caplog: pytest.LogCaptureFixture, tmp_path):
    said = []
    for share in (0.0, 1.0):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            run(EVENTS, ITEMS, max_tied_share=share, output=tmp_path / str(share))
        said.append(any("stand in a tie" in record.getMessage() for record in caplog.records))
    assert said == [True, False]


def test_the_engine_gets_its_settings(run, monkeypatch: pytest.MonkeyPatch):
    got = []

    def open_engine(name: str, memory_limit_gb: float, spark_remote: str, folder: object) -> None:
        got.append({"engine": name, "memory_limit_gb": memory_limit_gb, "spark_remote": spark_remote})
        raise UserError("enough")

    monkeypatch.setattr(stage, "open_engine", open_engine)
    with pytest.raises(UserError, match="enough"):
        run(EVENTS, ITEMS, **OF_THE_ENGINE)
    assert got == [OF_THE_ENGINE]
