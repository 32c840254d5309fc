"""Values by hand: three rounds, two actions, all figures fit in a comment."""

import numpy as np
import pytest

from longtail.metrics.off_policy import Logged, Way, value_of, weights

LOGGED = Logged(np.array([0, 1, 1]), np.array([1.0, 0.0, 2.0]), np.array([0.5, 0.25, 0.8]))
POLICY = np.array([[0.25, 0.75], [0.5, 0.5], [0.2, 0.8]])
EXPECTED = np.array([[1.0, 0.0], [2.0, 1.0], [0.5, 1.5]])
# weights: .25 / .5, .5 / .25, .8 / .8 = .5, 2, 1
# expected under the policy: .25, 1.5, .1 + 1.2 = 1.3;  residuals: 1 - 1, 0 - 1, 2 - 1.5 = 0, -1, .5


def value(method, **way):
    return value_of(LOGGED, POLICY, EXPECTED, method, Way(samples=50, **way)).value


def test_weights_by_hand():
    assert weights(LOGGED, POLICY).tolist() == [0.5, 2.0, 1.0]


@pytest.mark.parametrize(
    ("method", "way", "by_hand"),
    [
        ("ips", {}, (0.5 + 0 + 2) / 3),
        ("ips", {"clip": 1.5}, (0.5 + 0 + 2) / 3),
        ("snips", {}, 2.5 / 3.5),
        ("snips", {"clip": 1.0}, 2.5 / 2.5),
        ("dm", {}, (0.25 + 1.5 + 1.3) / 3),
        ("dr", {}, (0.25 + (1.5 - 2) + (1.3 + 0.5)) / 3),
        ("dr", {"clip": 1.0}, (0.25 + (1.5 - 1) + (1.3 + 0.5)) / 3),
        ("switch-dr", {"parameter": 1.0}, (0.25 + 1.5 + (1.3 + 0.5)) / 3),
        # lambda w / (w² + lambda), lambda 2: 1 / 2.25, 4 / 6, 2 / 3
        ("dros", {"parameter": 2.0}, (0.25 + (1.5 - 2 / 3) + (1.3 + 1 / 3)) / 3),
    ],
)
def test_values_by_hand(method, way, by_hand):
    assert value(method, **way) == pytest.approx(by_hand, rel=1e-12)
