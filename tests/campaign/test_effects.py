import json

import numpy as np
import pandas as pd
import pytest

from longtail.campaign.learners import Encoder, fit_learner
from longtail.campaign.uplift import UpliftSettings, estimate_effects
from longtail.contracts.errors import UserError
from longtail.metrics.uplift import Ranked, Trial

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def experiment(users, effect, seed=0, treatments=("none", "mail"), value=False):
    """A log, its features and the true effects of the first treatment; effect: of a on the probability of an outcome."""
    rng = np.random.default_rng(seed)
    features = pd.DataFrame(
        {"a": rng.normal(size=users), "b": rng.normal(size=users), "city": rng.choice(["Ulm", "Bonn"], users)}
    )
    true = effect(features.a.to_numpy())
    arm = rng.integers(len(treatments), size=users)
    share = 0.2 + 0.1 * (features.city == "Ulm") + np.where(arm == 1, true, 0)
    outcome = (rng.random(users) < share).astype(float)
    log = pd.DataFrame(
        {
            "user_id": [f"u{row}" for row in range(users)],
            "treatment": np.array(treatments)[arm],
            "time": 0,
            "outcome": outcome,
        }
    )
    return log.assign(value=10 * outcome) if value else log, features, true


def varied(a):
    return np.where(a > 0, 0.3, -0.05)


def alike(a):
    return np.full(len(a), 0.1)


def estimated(log, features, seed=0, **settings):
    asked = features.assign(user_id=log.user_id)
    return estimate_effects(log, features, asked, UpliftSettings(samples=200, **settings), seed)


@pytest.fixture(scope="module")
def found_by_auto():
    log, features, true = experiment(2400, varied, value=True)
    return estimated(log, features, folds=2, costs={"mail": 1.0}), log, features, true


def test_auto_recovers_the_order_of_different_effects(found_by_auto):
    found, log, _, true = found_by_auto
    quality = found.quality["treatments"][0]
    assert quality["learner"] in ("s", "t", "x", "dr")
    assert quality["better_than_random"]
    assert np.corrcoef(found.table.effect, true)[0, 1] > 0.8
    best = Ranked(true, Trial.of(log.outcome.to_numpy(), (log.treatment == "mail").to_numpy())).qini()
    assert quality["qini"]["estimate"] > 0.75 * best
    line = quality["calibration"]
    assert abs(line["slope"] - 1) < 4 * line["error"]


def test_intervals_and_average_effect_of_the_log(found_by_auto):
    found, log, _, true = found_by_auto
    effect = found.quality["treatments"][0]["average_effect"]
    means = log.groupby("treatment").outcome.mean()
    assert effect["estimate"] == pytest.approx(means["mail"] - means["none"])
    assert effect["low"] < true.mean() < effect["high"]
    assert found.table.effect.mean() == pytest.approx(effect["estimate"], abs=0.01)


def test_the_table_is_one_row_a_user_and_treatment_in_the_order_asked(found_by_auto):
    found, log, _, _ = found_by_auto
    assert list(found.table) == ["user_id", "treatment", "effect", "effect_on_value"]
    assert found.table.user_id.tolist() == log.user_id.tolist()
    assert found.table[["effect", "effect_on_value"]].notna().all(axis=None)
    # an outcome is always worth 10
    assert found.table.effect_on_value.mean() == pytest.approx(10 * found.table.effect.mean(), rel=0.05)


def test_targeting_by_effect_is_worth_more_than_one_action_for_all(found_by_auto):
    policies = found_by_auto[0].quality["policies"]
    over = {row["policy"]: row for row in policies["by_effect_over"]}
    # true: contact half of the users for 3 - 1 each, against 1.25 - 1 for everybody and 0 for nobody
    assert over["everybody: none"]["value"] == pytest.approx(1, abs=0.3)
    assert over["everybody: none"]["low"] > 0 and over["everybody: mail"]["low"] > 0
    assert policies["shares_by_effect"]["mail"] == pytest.approx(0.5, abs=0.1)


def test_documents_are_json(found_by_auto):
    found = found_by_auto[0]
    assert json.loads(json.dumps(found.quality)) == found.quality
    assert json.loads(json.dumps(found.randomisation))["random"] is True


def test_auto_claims_no_difference_where_there_is_none():
    log, features, _ = experiment(1500, alike, 1)
    quality = estimated(log, features, folds=2).quality["treatments"][0]
    assert quality["qini"]["low"] <= 0 <= quality["qini"]["high"]
    assert not quality["better_than_random"]
    assert "average effect is all that is known" in quality["said"]


def test_the_average_for_everybody():
    log, features, _ = experiment(1500, alike, 3)
    found = estimated(log, features, learner="none")
    means = log.groupby("treatment").outcome.mean()
    assert found.table.effect.unique() == pytest.approx([means["mail"] - means["none"]])
    quality = found.quality["treatments"][0]
    assert quality["qini"] == {"estimate": 0, "low": 0, "high": 0}  # also where the averages of folds differ
    assert found.table.effect_on_value.isna().all()
    json.dumps(found.quality)


@pytest.mark.parametrize("learner", ["s", "t", "x", "dr"])
def test_each_learner_finds_effects_of_several_treatments(learner):
    rng = np.random.default_rng(4)
    x = rng.normal(size=(6000, 2))
    arm = rng.integers(3, size=6000)
    true = np.column_stack([np.where(x[:, 0] > 0, 2.0, 0), np.where(x[:, 1] > 0, 0, -1.0)])
    outcome = x[:, 1] + rng.normal(size=6000) + np.where(arm > 0, true[np.arange(6000), arm - 1], 0)
    effects = fit_learner(learner, x, outcome, arm, False, 0)(x)
    assert effects.shape == (6000, 2)
    assert np.corrcoef(effects[:, 0], true[:, 0])[0, 1] > 0.9
    assert np.corrcoef(effects[:, 1], true[:, 1])[0, 1] > 0.8
    assert effects.mean(axis=0) == pytest.approx(true.mean(axis=0), abs=0.12)


def test_costs_are_the_settings_else_the_logs():
    log, features, _ = experiment(900, alike, 5, ("none", "mail", "call"))
    log["cost"] = log.treatment.map({"none": 0.0, "mail": 0.2, "call": 3.0})
    found = estimated(log, features, learner="none", costs={"mail": 0.5}).quality["treatments"]
    assert {row["treatment"]: row["cost"] for row in found} == {"call": pytest.approx(3), "mail": 0.5}


def test_policies_are_worth_their_outcomes_less_costs():
    log, features, _ = experiment(900, alike, 5)
    settings = UpliftSettings(learner="none", samples=100, folds=2, costs={"mail": 0.5})
    asked = features.assign(user_id=log.user_id)
    quality = estimate_effects(log, features, asked, settings, 0, outcome_value=5.0).quality
    found = {row["policy"]: row["value"] for row in quality["policies"]["policies"]}
    means = log.groupby("treatment").outcome.mean()
    assert found["everybody: none"] == pytest.approx(5 * means["none"])
    assert found["everybody: mail"] == pytest.approx(5 * means["mail"] - 0.5)


def test_the_same_seed_gives_the_same_effects():
    log, features, _ = experiment(800, varied, 6)
    first, again, other = (estimated(log, features, seed, learner="t", folds=2).table.effect for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert len(other) == len(first)


def test_who_was_contacted_by_choice_gets_no_uplift():
    log, features, _ = experiment(1000, alike, 7)
    log["treatment"] = np.where(features.a + np.random.default_rng(8).normal(size=1000) > 0, "mail", "none")
    with pytest.raises(UserError, match=r"'mail' was not drawn at random.*'a' most"):
        estimated(log, features)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda log, features: (log.assign(outcome=0.0), features), "the outcome is 0 in every row"),
        (
            lambda log, features: (log[log.treatment == "mail"], features[log.treatment == "mail"]),
            "'none' was drawn for 0 users",
        ),
        (
            lambda log, features: (log[log.treatment == "none"], features[log.treatment == "none"]),
            "everybody in the log has",
        ),
        (lambda log, features: (log.head(50), features.head(50)), "100 are needed"),
        (lambda log, features: (log, features.head(50)), "the log has 600 rows and its features 50"),
        (lambda log, features: (log, features[[]]), "there are no features"),
        (
            lambda log, features: (log, features.assign(outcome=log.outcome)),
            "'outcome', which is not known before the contact",
        ),
        (lambda log, features: (log.assign(propensity=0.9), features), "do not give that share"),
    ],
)
def test_bad_logs(change, fault):
    log, features = change(*experiment(600, alike, 9)[:2])
    with pytest.raises(UserError, match=fault):
        estimated(log, features, learner="none")


def test_bad_questions():
    log, features, _ = experiment(600, alike, 10)
    settings = UpliftSettings(learner="none", samples=100)
    with pytest.raises(UserError, match="have no column b, which the log's features have"):
        estimate_effects(log, features, features.drop(columns="b").assign(user_id="u"), settings, 0)
    with pytest.raises(UserError, match="'a' holds numbers in the log and text"):
        estimate_effects(log, features, features.assign(a="much", user_id="u"), settings, 0)
    with pytest.raises(UserError, match="no treatment 'fax' in the log"):
        estimated(log, features, learner="none", costs={"fax": 1})


def test_features_become_numbers():
    known = pd.DataFrame({"age": [20.0, np.nan, 40, 30], "city": ["Ulm", "Bonn", None, "Ulm"]})
    encoder = Encoder(known)
    assert encoder.columns == ["age", "missingindicator_age", "city_", "city_Bonn", "city_Ulm"]
    found = encoder.encoded(pd.DataFrame({"city": ["Bonn", "Rom"], "age": [np.inf, 50], "more": [1, 2]}))
    assert found.tolist() == [[30, 1, 0, 1, 0], [50, 0, 0, 0, 0]]
