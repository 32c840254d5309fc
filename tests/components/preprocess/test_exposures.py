"""What was shown says how likely an item was to be shown, and so what an event of it counts: by hand, and where the truth is known."""

import logging

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from scipy.stats import spearmanr

from longtail.components.preprocess.exposures import PRIOR_USERS, Exposures
from longtail.contracts.errors import UserError
from longtail.contracts.prepared import EXPOSURES
from longtail.modeling.training_data import TrainingData
from longtail.neighbours.recency import likely_counts, recent_counts

ITEMS = [{"item_id": item, "title": item} for item in ("a", "b", "c")]
CHOSEN = "aaab", "aabb", "abab", "aaac"  # of four users, in order; the last two events are held back
EVENTS = [
    {"user_id": f"u{user}", "item_id": f"{item}", "timestamp": 100 * user + place}
    for user, items in enumerate(CHOSEN)
    for place, item in enumerate(items)
]
SHOWN = [
    ("u0", "a"),
    ("u1", "a"),
    ("u2", "a"),
    ("u3", "a"),
    ("u0", "b"),
    ("u0", "b"),
]  # a to all, b to one (twice), c to nobody


def table(path, rows, **more):
    pd.DataFrame({"user_id": [user for user, _ in rows], "item_id": [item for _, item in rows], **more}).to_csv(
        path, index=False
    )
    return str(path)


def prepared(run, shown, **settings):
    return run(EVENTS, ITEMS, repeats="keep", exposures=shown, **settings)


def test_weights_by_hand(run, engine, tmp_path):
    data = prepared(run, table(tmp_path / "shown.csv", SHOWN), engine=engine, least_exposure=0.1)
    found = pq.read_table(data.artifact.file(EXPOSURES)).to_pandas().set_index(np.array(data.item_ids))
    usual = 5 / 12  # of three items to four users
    chances = {"a": (4 + 10 * usual) / 14, "b": (1 + 10 * usual) / 14, "c": 10 * usual / 14}
    assert found["propensity"].to_dict() == pytest.approx(chances)
    counts = dict(zip(data.item_ids, data.train_counts.tolist()))
    assert counts == {"a": 7, "b": 1, "c": 0}
    scale = 8 / (7 / chances["a"] + 1 / chances["b"])
    weights = {item: scale / chance for item, chance in chances.items()}
    assert found["weight"].to_dict() == pytest.approx(weights, rel=1e-6)
    np.testing.assert_allclose(data.exposure_weights(), found["weight"])
    assert (data.train_counts * data.exposure_weights()).sum() == pytest.approx(8)
    squares = 7 * weights["a"] ** 2 + weights["b"] ** 2
    assert data.facts["exposures"] == {
        "users": 4,
        "items_shown": 2,
        "rows_of_unknown_items": 0,
        "effective_events": pytest.approx(64 / squares, rel=1e-6),
    }


def test_no_item_counts_as_shown_to_fewer_than_the_least(run, tmp_path):
    data = prepared(run, table(tmp_path / "shown.csv", SHOWN), least_exposure=0.5)
    chances = pq.read_table(data.artifact.file(EXPOSURES))["propensity"].to_numpy()
    assert chances.min() == 0.5


def test_rows_that_were_not_shown_and_unknown_items_are_left_out(run, tmp_path, caplog):
    rows = [*SHOWN, ("u1", "b"), ("u2", "b"), ("u3", "c"), ("u1", "nothing")]
    shown = [1, "1", 1.0, "true", "yes", 1, 0, "false", "0.0", 1]
    with caplog.at_level(logging.WARNING):
        some = prepared(run, table(tmp_path / "some.csv", rows, shown=shown, timestamp=range(len(rows))))
    assert some.facts["exposures"]["rows_of_unknown_items"] == 1
    assert "1 users were shown items that the catalogue does not hold" in caplog.text
    plain = prepared(run, table(tmp_path / "plain.csv", SHOWN), output=tmp_path / "plain")
    np.testing.assert_array_equal(some.exposure_weights(), plain.exposure_weights())


def test_without_a_table_all_events_count_alike(run):
    data = run(EVENTS, ITEMS, repeats="keep")
    assert data.exposure_weights() is None
    assert data.facts["exposures"] is None
    np.testing.assert_array_equal(likely_counts(data, None), recent_counts(data, None))
    assert TrainingData.of(data, 10).item_weights is None


def test_counts_and_positions_are_weighed(run, tmp_path):
    data = prepared(run, table(tmp_path / "shown.csv", SHOWN))
    np.testing.assert_allclose(likely_counts(data, None), data.train_counts * data.exposure_weights())
    np.testing.assert_array_equal(TrainingData.of(data, 10).item_weights, data.exposure_weights())


@pytest.mark.parametrize(
    ("rows", "columns", "said"),
    [
        (SHOWN, {"item_id": "sku"}, r"exposures: .*shown.csv: has no column item_id \(it has user_id, sku\)"),
        ([("u0", "x")], {}, "shows no item of the catalogue to a user"),
    ],
)
def test_a_table_that_says_nothing_is_refused(run, tmp_path, rows, columns, said):
    path = table(tmp_path / "shown.csv", rows)
    pd.read_csv(path).rename(columns=columns).to_csv(path, index=False)
    with pytest.raises(UserError, match=said):
        prepared(run, path)
    assert not (tmp_path / "prepared").exists()


@pytest.mark.parametrize("seed", range(3))
def test_weighed_counts_are_nearer_to_what_users_like(seed):
    """Items that users like alike or not are shown unevenly, whatever they like; what is shown is chosen as it is liked."""
    rng = np.random.default_rng(seed)
    users, items = 3000, 60
    liked = rng.uniform(0.05, 0.4, items)
    exposure = np.exp(rng.normal(-2.5, 1.0, items)).clip(0.005, 0.9)
    shown = rng.random((users, items)) < exposure
    chosen = shown & (rng.random((users, items)) < liked)
    counts = chosen.sum(axis=0)
    weighed = counts * Exposures(shown.sum(axis=0), users, 0).weights(counts, 0.01)
    assert spearmanr(counts, liked)[0] < 0.6
    assert spearmanr(weighed, liked)[0] > 0.85
    # in proportion: what all users would have chosen, had they seen everything
    error = np.abs(weighed / weighed.sum() - liked / liked.sum()).sum()
    assert error < 0.4 * np.abs(counts / counts.sum() - liked / liked.sum()).sum()
    assert 0.01 * users > PRIOR_USERS
