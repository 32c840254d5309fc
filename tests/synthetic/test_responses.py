"""True responses: one effect for all at heterogeneity 0, four types of users at 1, and draws that keep to their probabilities."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longtail.contracts.errors import UserError
from longtail.synthetic.responses import LARGEST_EFFECT, SMALL, SURE, TYPES, Responses, true_responses
from longtail.synthetic.shop import Shop, generate_shop


@pytest.fixture(scope="module")
def shop() -> Shop:
    return generate_shop(users=1500, items=150)


@pytest.fixture(scope="module")
def responses(shop: Shop) -> Responses:
    return true_responses(shop)


def offers(responses: Responses, best: bool) -> np.ndarray:
    """Codes of the three items that each user likes best, or least. [users, 3]"""
    order = np.argsort(responses.affinity, axis=1)
    return order[:, -3:] if best else order[:, :3]


def test_without_heterogeneity_everybody_has_the_same_effect_whatever_is_offered(shop: Shop) -> None:
    same = true_responses(shop, heterogeneity=0.0, mean_effect=0.07)
    for items in (None, offers(same, best=True), offers(same, best=False)):
        effects = same.effects(items)
        assert (effects[:, 0] == 0).all()
        np.testing.assert_allclose(effects[:, 1:], 0.07, atol=1e-12)
    np.testing.assert_allclose(same.basket, 40.0)


@pytest.mark.parametrize("heterogeneity", [0.25, 0.5, 1.0])
def test_the_average_effect_does_not_depend_on_heterogeneity(shop: Shop, heterogeneity: float) -> None:
    found = true_responses(shop, heterogeneity=heterogeneity)
    assert found.effects()[:, 1:].mean() == pytest.approx(0.05, abs=0.002)  # clipping at 0 takes a little
    assert found.basket.mean() == pytest.approx(40.0)


@given(st.floats(0, 1), st.floats(0, LARGEST_EFFECT), st.integers(0, 5))
@settings(max_examples=25)
def test_probabilities_stay_probabilities(heterogeneity: float, mean_effect: float, seed: int) -> None:
    found = true_responses(_small(), seed, heterogeneity, mean_effect)
    for items in (None, offers(found, best=True)):
        probability = found.without_contact()[:, None] + found.effects(items)
        assert probability.min() >= 0
        assert probability.max() <= 1 + 1e-12


_SMALL: list[Shop] = []


def _small() -> Shop:
    if not _SMALL:
        _SMALL.append(generate_shop(users=60, items=120))
    return _SMALL[0]


def test_there_are_sure_things_persuadable_lost_and_driven_away_users(responses: Responses) -> None:
    p0, best, types = responses.without_contact(), responses.effects()[:, 1:].max(axis=1), responses.types()
    shares = {name: (types == name).mean() for name in TYPES}
    assert sum(shares.values()) == pytest.approx(1.0)
    assert all(share > 0.02 for share in shares.values())
    assert p0[types == "sure thing"].min() >= SURE
    assert p0[types == "lost cause"].max() < SURE
    assert best[types == "persuadable"].min() > SMALL
    assert best[types == "driven away"].max() < -SMALL
    waited = responses.days_since_last
    assert np.median(waited[types == "lost cause"]) > 2 * np.median(waited[types == "persuadable"])


def test_who_has_waited_longer_comes_back_less_and_who_was_more_active_more(responses: Responses) -> None:
    later = responses.later(30, np.full(len(responses.basket), np.nan))
    assert (later.without_contact() <= responses.without_contact()).all()
    assert (later.without_contact() < responses.without_contact()).mean() > 0.8  # the others are at a bound
    back = responses.later(30, np.full(len(responses.basket), 5.0))
    assert back.days_since_last == pytest.approx(5.0)
    active, rare = (responses.activity > np.quantile(responses.activity, share) for share in (0.9, 0.1))
    assert back.without_contact()[active].min() > back.without_contact()[~rare].max()


def test_later_keeps_who_did_not_come_and_counts_the_days(responses: Responses) -> None:
    last = np.full(len(responses.basket), np.nan)
    last[7] = 3.0
    later = responses.later(30, last)
    assert later.days_since_last[7] == 3.0
    np.testing.assert_allclose(np.delete(later.days_since_last, 7), np.delete(responses.days_since_last, 7) + 30)


def test_items_to_the_true_taste_persuade_more(responses: Responses) -> None:
    good, bad = (responses.effects(offers(responses, best))[:, 1:].mean() for best in (True, False))
    assert good > responses.effects()[:, 1:].mean() > bad


def test_fit_is_the_share_of_the_catalogue_that_is_liked_less(responses: Responses) -> None:
    items = np.array([[0, 5], [7, 7]])
    users = np.array([3, 11])
    by_hand = [
        np.mean([(responses.affinity[user] < responses.affinity[user, item]).mean() for item in offered])
        for user, offered in zip(users, items)
    ]
    np.testing.assert_allclose(responses.fits(users, items), by_hand)


def test_draws_keep_to_their_probabilities(responses: Responses) -> None:
    users = np.arange(len(responses.basket))
    for action in range(3):
        actions = np.full(len(users), action)
        rng = np.random.default_rng(0)
        drawn = np.array([responses.outcomes(rng, users, actions)[0] for _ in range(200)])  # [draws, users]
        expected = responses.without_contact() + responses.effects()[:, action]
        error = np.sqrt((expected * (1 - expected)).mean() / drawn.size)
        assert abs(drawn.mean() - expected.mean()) < 4 * error
        assert np.corrcoef(drawn.mean(axis=0), expected)[0, 1] > 0.98


def test_the_same_luck_makes_campaigns_comparable(responses: Responses) -> None:
    users = np.arange(len(responses.basket))
    nobody, mail = np.zeros(len(users), int), np.ones(len(users), int)
    without, _ = responses.outcomes(np.random.default_rng(3), users, nobody)
    with_mail, value = responses.outcomes(np.random.default_rng(3), users, mail)
    effect = responses.effects()[:, 1]
    assert (with_mail >= without)[effect >= 0].all()
    assert (with_mail <= without)[effect <= 0].all()
    assert (value[with_mail == 0] == 0).all()
    assert value[with_mail == 1].mean() == pytest.approx(responses.basket[with_mail == 1].mean(), rel=0.1)
    part = users[::3]
    again, _ = responses.outcomes(np.random.default_rng(3), part, mail[::3])
    np.testing.assert_array_equal(again, with_mail[::3])


def test_the_same_arguments_give_the_same_responses_and_another_seed_does_not(shop: Shop) -> None:
    one, two, three = true_responses(shop, 4), true_responses(shop, 4), true_responses(shop, 5)
    np.testing.assert_array_equal(one.effects(), two.effects())
    assert not np.allclose(one.effects(), three.effects())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"heterogeneity": 1.5}, "heterogeneity: is 1.5; give a number from 0 to 1"),
        ({"mean_effect": 0.5}, "mean effect: is 0.5; give a number from 0 to 0.15"),
        ({"mean_effect": float("nan")}, "mean effect: is nan; give a number from 0 to 0.15"),
    ],
)
def test_parameters_outside_their_range_are_refused(shop: Shop, arguments: dict[str, float], message: str) -> None:
    with pytest.raises(UserError, match=message):
        true_responses(shop, **arguments)  # type: ignore[arg-type]
