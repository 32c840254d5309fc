"""`longtail refresh`, as typed."""

import json

import numpy as np
import pytest
from helpers_bundle import write_tiny_bundle
from helpers_command import command, refused
from helpers_counted import write_counted_bundle
from helpers_hand_bundle import write_hand_bundle
from safetensors.numpy import load_file

from longtail.components.preprocess.prepare import prepare
from longtail.contracts.artifacts import MANIFEST, sha256
from longtail.contracts.prepared import PreparedDataset
from longtail.neighbours.recounting import write_recounted
from longtail.pipelines.run_settings import load_settings
from longtail.scoring.bundle import load_bundle

SETTINGS = ["preprocess.columns={user_id: who, item_id: sku}", "preprocess.min_rating=3"]
USERS, ITEMS = 12, 9


def write_log(path, users=USERS, more=()):
    """Every user takes four items, the second of which is disliked."""
    rng = np.random.default_rng(0)
    rows = [
        f"u{user:02d},i{item},{1_700_000_000 + 86_400 * user + place},{1 if place == 1 else 5}"
        for user in range(users)
        for place, item in enumerate(rng.permutation(ITEMS)[:4])
    ]
    path.write_text("\n".join(["who,sku,timestamp,value", *rows, *more]) + "\n")
    return path


def write_items(path, count=ITEMS):
    path.write_text("sku,title\n" + "".join(f"i{item},kind{item % 3} name{item}\n" for item in range(count)))
    return path


@pytest.fixture
def shop(tmp_path):
    """A log, what preprocess made of it with SETTINGS, and the bundle that was trained on that."""
    log, items = write_log(tmp_path / "log.csv"), write_items(tmp_path / "items.csv")
    settings = load_settings(None, SETTINGS).preprocess
    prepare(str(log), str(items), None, tmp_path / "prepared", settings)
    write_counted_bundle(tmp_path / "bundle", PreparedDataset(tmp_path / "prepared"))
    return tmp_path


@pytest.fixture
def lamps(tmp_path):
    """The bundle by hand, which reads texts; its items are a, b, c and d."""
    bundle = write_hand_bundle(tmp_path / "bundle")
    manifest = json.loads((bundle / MANIFEST).read_text())
    term = {"shares": [0.0, 0.5, 0.2, 0.3], "decay": 0.5, "neighbours": 5}
    manifest["facts"] |= {"sparse_term": term, "preprocess": {}}
    (bundle / MANIFEST).write_text(json.dumps(manifest))
    (tmp_path / "items.csv").write_text("item_id,title\na,Red lamp of old\nd,\ne,red lamp\n")
    rows = [f"u{user},{item},{place + 1}" for user in range(9) for place, item in enumerate("abc")]
    rows += ["u0,e,4", "u1,e,4", "u2,f,4"]
    (tmp_path / "log.csv").write_text("\n".join(["user_id,item_id,timestamp", *rows]) + "\n")
    return tmp_path


def tables(folder):
    return "--bundle", folder / "bundle", "--interactions", folder / "log.csv", "--output", folder / "out"


def test_the_same_table_is_read_as_in_training(shop, capfd):
    """Columns and the rating from which an item counts are those that the bundle keeps."""
    shown = command(capfd, "refresh", *tables(shop))
    data = PreparedDataset(shop / "prepared")
    assert "Counted 36 interactions; 0 new items" in shown and len(data.splits) == 36
    write_recounted(shop / "bundle", data, shop / "expected")
    found, expected = (load_file(shop / name / "tensors.safetensors") for name in ("out", "expected"))
    assert all(np.array_equal(found[name], values) for name, values in expected.items())
    assert load_bundle(shop / "out").facts["refreshed"] == load_bundle(shop / "expected").facts["refreshed"]


def test_new_users_and_later_events_are_counted(shop, capfd):
    write_log(shop / "log.csv", USERS + 1)
    command(capfd, "refresh", *tables(shop))
    made = load_bundle(shop / "out")
    assert made.train_counts.sum() == 39
    assert made.facts["data_until"] == 1_700_000_000 + 86_400 * USERS + 3


def test_settings_that_are_given_stand_over_those_of_the_training(shop, capfd):
    command(capfd, "refresh", *tables(shop), "--set", "preprocess.min_rating=1")
    assert load_bundle(shop / "out").train_counts.sum() == 48


def test_only_the_latest_interactions_are_refused(shop, capfd):
    write_log(shop / "log.csv", 1)
    code, error = refused(capfd, "refresh", *tables(shop))
    assert code == 2 and "holds 3 events" in error and "give all interactions up to now" in error
    assert not (shop / "out").exists()


def test_a_bundle_of_an_earlier_version(shop, capfd):
    write_tiny_bundle(shop / "bundle")
    code, error = refused(capfd, "refresh", *tables(shop))
    assert code == 2 and "is of an earlier version" in error and "train it again" in error


def test_a_bundle_whose_events_had_weights(shop, capfd):
    manifest = json.loads((shop / "bundle" / MANIFEST).read_text())
    manifest["facts"]["preprocess"]["event_weights"] = {"view": 1.0}
    (shop / "bundle" / MANIFEST).write_text(json.dumps(manifest))
    code, error = refused(capfd, "refresh", *tables(shop))
    assert code == 2 and "had event_weights; train it again" in error


def test_unknown_items_are_counted_and_said(lamps, capfd):
    shown = command(capfd, "refresh", *tables(lamps))
    assert "Left out: 3 interactions with items that the bundle does not know; give --items" in shown
    assert load_bundle(lamps / "out").item_ids == ["a", "b", "c", "d"]


def test_too_many_unknown_items_are_refused(lamps, capfd):
    code, error = refused(capfd, "refresh", *tables(lamps), "--set", "preprocess.max_rejected_share=0.05")
    assert code == 2 and "unknown item: 3" in error


def test_new_items_come_in_by_their_text_and_are_counted(lamps, capfd):
    """Rows of items that are known are passed over, also those without text or with another one."""
    measured = sha256(lamps / "bundle" / MANIFEST)
    shown = command(capfd, "refresh", *tables(lamps), "--items", lamps / "items.csv")
    assert "Left out: 1 interactions" in shown and "1 new items came in by their text" in shown
    made, before = load_bundle(lamps / "out"), load_bundle(lamps / "bundle")
    assert made.item_ids == ["a", "b", "c", "d", "e"] and made.titles[0] == "Red lamp"
    assert made.train_counts.tolist() == [9, 9, 9, 0, 2]
    assert made.tensors.item_matrix[4] == pytest.approx([0.6, 0.8])  # as add-items makes it
    assert np.array_equal(made.tensors.item_matrix[:4], before.tensors.item_matrix)
    assert made.tensors.neighbours[2, 4] > 0  # e comes after c
    assert made.facts["refreshed"]["from"] == measured
    assert made.facts["added_items"][0]["new"] == 1
