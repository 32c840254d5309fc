import numpy as np
import pytest
import torch
from helpers_ring import make_model

from longtail.modeling.losses import cross_entropy
from longtail.modeling.objective import START_WEIGHT, Objective
from longtail.modeling.sequence_model import SequenceModel, Shape
from longtail.modeling.sequences import Batch, Sequences
from longtail.modeling.training_settings import TrainingSettings

HISTORIES = [np.array(row, np.int32) for row in ([3, 4, 5], [7], [1, 2])]


def make_batch(weights: np.ndarray | None = None, hidden: list[np.ndarray] | None = None) -> Batch:
    sequences = Sequences(HISTORIES, [np.zeros(0, np.int64)] * 3, 10, hidden)
    return sequences.batch(np.arange(3), weights=weights)


def loss_of(batch: Batch, step: torch.Tensor | None = None, **settings: float) -> float:
    objective = Objective(make_model(), TrainingSettings(**settings), None).eval()  # type: ignore[arg-type]
    return float(objective(batch, step=step)[0].detach())


@torch.no_grad()
def log_probabilities(history: np.ndarray) -> torch.Tensor:
    """Log-probabilities of the items before each item of one history. ``[1 + length, items]``"""
    model = make_model().eval()
    vectors = model.item_vectors()
    queries = model(vectors, torch.from_numpy(history.astype(np.int64))[None], model.start[None])[0]
    return torch.log_softmax(queries @ vectors.T, dim=-1)


def start_loss() -> float:
    logs = log_probabilities(HISTORIES[0][:0])[0]
    return float(np.mean([-logs[history.astype(np.int64)].mean() for history in HISTORIES]))


def expected(weigh: list[float], **shares: dict[int, float]) -> float:
    """The loss by hand: the label of a position is spread over ``shares`` (place ahead -> share)."""
    total, count = 0.0, 0
    for history, weight in zip(HISTORIES, weigh):
        logs = log_probabilities(history)
        for place in range(len(history)):
            ahead = {j: share for j, share in shares["ahead"].items() if place + j < len(history)}
            label = sum(share * -logs[place, history[place + j]] for j, share in ahead.items()) / sum(ahead.values())
            total, count = total + weight * float(label), count + 1
    return total / count + START_WEIGHT * start_loss()


def test_the_next_item_is_the_label() -> None:
    assert loss_of(make_batch()) == pytest.approx(expected([1, 1, 1], ahead={0: 1.0}), abs=1e-5)


def test_following_items_share_the_label() -> None:
    found = loss_of(make_batch(), future_items=2, future_decay=0.25)
    assert found == pytest.approx(expected([1, 1, 1], ahead={0: 0.8, 1: 0.2}), abs=1e-5)


def test_the_same_batch_has_the_same_gradients_to_the_last_bit() -> None:
    rng = np.random.default_rng(0)
    histories = [rng.integers(0, 8, 60).astype(np.int32) for _ in range(100)]  # many threads add to few items
    batch = Sequences(histories, [np.zeros(3, np.int64)] * 100, 60).batch(np.arange(100))

    def gradients() -> list[torch.Tensor]:
        objective = Objective(make_model(), TrainingSettings(), None).eval()
        objective(batch)[0].backward()
        return [parameter.grad for parameter in objective.parameters() if parameter.grad is not None]

    first = gradients()
    assert len(first) > 10
    for _ in range(5):
        assert all(torch.equal(one, other) for one, other in zip(first, gradients(), strict=True))


def test_positions_count_by_their_users_weight() -> None:
    weights = np.array([0.5, 2.0, 1.25], np.float32)
    assert loss_of(make_batch(weights)) == pytest.approx(expected(weights.tolist(), ahead={0: 1.0}), abs=1e-5)


def test_smoothing_spreads_a_share_evenly() -> None:
    even = np.concatenate([-log_probabilities(history)[:-1].mean(dim=1).numpy() for history in HISTORIES]).mean()
    plain = loss_of(make_batch()) - START_WEIGHT * start_loss()
    for items in (1, 2):
        unsmoothed = loss_of(make_batch(), future_items=items) - START_WEIGHT * start_loss()
        smoothed = loss_of(make_batch(), future_items=items, label_smoothing=0.3) - START_WEIGHT * start_loss()
        assert smoothed == pytest.approx(0.7 * unsmoothed + 0.3 * float(even), abs=1e-5)
    assert plain != pytest.approx(smoothed, abs=1e-3)


def test_a_hidden_item_is_not_read_but_is_asked_for() -> None:
    nothing = [np.zeros(len(history), bool) for history in HISTORIES]
    last = [np.arange(len(history)) == len(history) - 1 for history in HISTORIES]
    first = [np.arange(len(history)) == 0 for history in HISTORIES]
    assert loss_of(make_batch(hidden=nothing)) == loss_of(make_batch())
    assert loss_of(make_batch(hidden=last)) == loss_of(make_batch())  # the last item is a label only
    assert loss_of(make_batch(hidden=first)) != pytest.approx(loss_of(make_batch()), abs=1e-4)


def test_shares_are_factors_of_both_losses() -> None:
    objective = Objective(make_model(), TrainingSettings(), None).eval()
    whole, places, starts = (
        float(objective(make_batch(), shares)[0].detach()) for shares in ((1.0, 1.0), (1.0, 0.0), (0.0, 1.0))
    )
    assert starts == pytest.approx(START_WEIGHT * start_loss(), abs=1e-5)
    assert whole == pytest.approx(places + starts, abs=1e-5)


def test_cross_entropy_with_weights() -> None:
    p, logits = torch.eye(2), torch.tensor([[0.0, 0.0], [3.0, 0.0]])
    by_row = torch.tensor([np.log(2), np.log(1 + np.exp(3.0))], dtype=torch.float32)
    found = cross_entropy(p, logits, torch.tensor([0.5, 1.5]))
    assert found.item() == pytest.approx(((0.5 * by_row[0] + 1.5 * by_row[1]) / 2).item(), abs=1e-5)


def test_pictures_are_hidden_in_the_given_share_of_items(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model = SequenceModel(Shape(8, 1, 2, 10, 0.0, 0.1), torch.randn(2000, 5), 2, 0, 3)
    asked, vectors = [], model.item_vectors
    monkeypatch.setattr(model, "item_vectors", lambda unseen: asked.append(unseen) or vectors(unseen))
    for share in (0.3, 0.0):
        Objective(model, TrainingSettings(image_dropout=share))(make_batch())
    assert asked[0].float().mean() == pytest.approx(0.3, abs=0.05)
    assert asked[1] is None


def test_without_pictures_no_chance_is_spent() -> None:
    """A data set without pictures trains to the last bit as it did before there were any."""
    objective = Objective(make_model(dropout=0.0), TrainingSettings(image_dropout=0.3)).train()
    before = torch.random.get_rng_state()
    objective(make_batch())
    assert torch.equal(torch.random.get_rng_state(), before)


def test_places_count_as_their_items_do() -> None:
    """An item that was shown to few counts more, wherever it is to be told; after the start alone, too."""
    of_items = np.linspace(0.5, 2.0, 8).astype(np.float32)
    objective = Objective(make_model(), TrainingSettings(), None, None, of_items).eval()
    found = float(objective(make_batch())[0].detach())
    total, first = 0.0, 0.0
    start = log_probabilities(HISTORIES[0][:0])[0]
    for history in HISTORIES:
        logs = log_probabilities(history)
        for place, item in enumerate(history.tolist()):
            total += float(of_items[item] * -logs[place, item])
            first += float(of_items[item] * -start[item]) / len(history)
    assert found == pytest.approx(total / 6 + START_WEIGHT * first / 3, abs=1e-5)
    weighed = np.array([1.0, 3.0, 0.5], np.float32)
    both = float(objective(make_batch(weighed))[0].detach())
    by_user = sum(
        float(weight * of_items[item] * -log_probabilities(history)[place, item])
        for weight, history in zip(weighed, HISTORIES)
        for place, item in enumerate(history.tolist())
    )
    assert both == pytest.approx(by_user / 6 + START_WEIGHT * first / 3, abs=1e-5)
    assert "item_weights" not in objective.state_dict()
