"""The sparse term in training, against matrices counted anew without the user."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import sparse

from longtail.modeling.neighbour_term import NeighbourTerm
from longtail.modeling.objective import Objective
from longtail.modeling.parallel import Team
from longtail.modeling.sequence_model import SequenceModel, Shape
from longtail.modeling.sequences import Sequences
from longtail.modeling.training import Run, train
from longtail.modeling.training_data import TrainingData
from longtail.modeling.training_settings import TrainingSettings
from longtail.neighbours import item_to_item as module
from longtail.neighbours.counting import cosine_cooccurrence, following_counts
from longtail.neighbours.item_to_item import ItemToItem, Mixture, OwnPairs, item_to_item
from longtail.neighbours.term_settings import TermSettings
from longtail.neighbours.validation_cases import ValidationCases
from longtail.scoring.likeness import Likeness
from longtail.scoring.rows import row_norms

SEQUENCES = [np.array(s, dtype=np.int32) for s in ([0, 1, 2], [0, 1], [1, 2, 3, 4], [4, 0], [2, 4])]
NONE = np.zeros((5, 0), np.float32)  # no language model
CASES = ValidationCases(SEQUENCES, SEQUENCES, exclude_history=False)
TEXTS = ["red polish", "blue polish", "hair oil", "hair wax", "oil"]


@pytest.mark.parametrize("following", [0.0, 0.5, 1.0])
def test_a_users_own_pairs_are_taken_off(monkeypatch: pytest.MonkeyPatch, following: float) -> None:
    """Numerators are counted without the user; norms and counts of items stay, which is what the matrix was made with."""
    monkeypatch.setattr(module, "FOLLOWING_SHARES", (following,))
    term = item_to_item(SEQUENCES, TEXTS, NONE, TermSettings(neighbours=5, lexical=False), CASES, 0)
    counts = np.bincount(np.concatenate(SEQUENCES), minlength=5)
    together, after = np.zeros((5, 5)), np.zeros((5, 5))
    for other in (0, 1, 3, 4):
        for p, i in enumerate(SEQUENCES[other]):
            for q, j in enumerate(SEQUENCES[other]):
                together[i, j] += p != q
                after[i, j] += 0.8 ** (q - p - 1) if q > p else 0
    together /= np.sqrt(np.outer(counts, counts)) * row_norms(cosine_cooccurrence(SEQUENCES, 5))[:, None]
    after *= counts**-0.25 / np.maximum(row_norms(following_counts(SEQUENCES, 5)), 1e-9)[:, None]
    without = (1 - following) * together + following * after
    history = SEQUENCES[2]
    padded = torch.tensor([[1, 2, 3, 4], [0, 1, 0, 0]])
    valid = torch.tensor([[True] * 4, [True, True, False, False]])
    found = NeighbourTerm(term, 2.0).before_each_item(padded, valid).numpy()
    assert found.shape == (6, 5)
    assert not found[0].any()  # nothing comes before the first item
    for place in range(1, 4):
        expected = sum(term.decay ** (place - 1 - j) * without[history[j]] for j in range(place))
        later = history[place:]
        assert np.allclose(found[place][later], 2 * expected[later], atol=1e-6)
    assert found[5, 1] < 2 * term.neighbours.toarray()[0, 1]  # the second user has items 0 and 1, too


def test_validation_sees_whether_order_matters() -> None:
    """In a ring, what comes next is chosen after an item; what came before it is chosen beside it as often, and never after."""
    rng = np.random.default_rng(0)
    begins = rng.integers(0, 30, 200)
    ordered = [((begin + np.arange(4)) % 30).astype(np.int32) for begin in begins]
    histories, targets = [s[:1] for s in ordered], [s[1:2] for s in ordered]
    term = item_to_item(
        ordered,
        [""] * 30,
        np.zeros((30, 0), np.float32),
        TermSettings(neighbours=10, lexical=False),
        ValidationCases(histories, targets, exclude_history=True),
        0,
    )
    assert term.own.following_row.any()
    assert term.scores(histories).argmax(axis=1).tolist() == [int(target[0]) for target in targets]


def test_with_words_alone_nothing_is_taken_off() -> None:
    term = item_to_item(SEQUENCES, TEXTS, NONE, TermSettings(neighbours=5, cooccurrence=False), CASES, 0)
    found = NeighbourTerm(term, 1.0).before_each_item(torch.tensor([[0, 1, 2]]), torch.ones(1, 3, dtype=torch.bool))
    assert np.allclose(found.numpy()[1:], term.scores([np.array([0]), np.array([0, 1])]), atol=1e-6)


def test_validation_chooses_the_part_that_knows() -> None:
    """Targets read like the last item and are never chosen with it: words should get the greatest share."""
    rng = np.random.default_rng(0)
    texts = [f"kind{item // 2} word" for item in range(40)]
    sequences = [rng.choice(np.arange(0, 40, 2), 4, replace=False).astype(np.int32) for _ in range(50)]
    histories = [sequence[-1:] for sequence in sequences]
    targets = [history + 1 for history in histories]
    term = item_to_item(
        sequences,
        texts,
        np.zeros((40, 0), np.float32),
        TermSettings(neighbours=10),
        ValidationCases(histories, targets, True),
        0,
    )
    best = term.neighbours[[0]].toarray()[0].argmax()
    assert best == 1


def test_validation_chooses_texts_that_mean_the_same() -> None:
    """Words say nothing, and the pairs of the targets are never chosen together: only the text vectors know them."""
    rng = np.random.default_rng(0)
    sequences = [rng.choice(np.arange(0, 40, 2), 4, replace=False).astype(np.int32) for _ in range(50)]
    vectors = np.repeat(rng.normal(size=(20, 8)), 2, axis=0).astype(np.float32)
    histories = [sequence[-1:] for sequence in sequences]
    targets = [history + 1 for history in histories]
    cases = ValidationCases(histories, targets, exclude_history=True)
    term = item_to_item(sequences, ["word"] * 40, vectors, TermSettings(neighbours=10), cases, 0)
    assert term.neighbours[[0]].toarray()[0].argmax() == 1
    without = item_to_item(sequences, [""] * 40, vectors, TermSettings(neighbours=10, lexical=False), cases, 0)
    assert without.neighbours[0, 1] > 0


def test_it_is_read_back_as_it_was(tmp_path) -> None:  # type: ignore[no-untyped-def]
    own = OwnPairs(*(np.full(3, value, np.float32) for value in (1, 2, 3, 4)))
    likeness = Likeness(np.eye(3, dtype=np.float32), *(np.full(n, n, np.float32) for n in (3, 3, 2)))
    term = ItemToItem(sparse.csr_array(np.eye(3, dtype=np.float32)), Mixture((0, 0.1, 0.4, 0.5), 0.7, 3), own, likeness)
    term.save(tmp_path / "term.safetensors")
    back = ItemToItem.load(tmp_path / "term.safetensors")
    assert back.mixture == term.mixture and (back.neighbours != term.neighbours).nnz == 0
    assert all(np.array_equal(vars(back.own)[name], values) for name, values in vars(own).items())
    assert all(np.array_equal(vars(back.likeness)[name], values) for name, values in vars(likeness).items())


def test_it_joins_after_a_share_of_the_epochs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Alone, the loss is that of the dense part; an adversarial step goes beside the term where its batch did."""
    term = item_to_item(SEQUENCES, TEXTS, NONE, TermSettings(neighbours=5, cooccurrence=False), CASES, 0)
    torch.manual_seed(0)
    model = SequenceModel(Shape(8, 1, 2, 10, 0.0, 0.1), torch.randn(5, 3), 3, 0)
    sequences = Sequences(SEQUENCES, [np.zeros(0, np.int64)] * 5, 10)
    batch = sequences.batch(np.arange(5))
    settings = TrainingSettings(
        epochs=8, patience=8, fgm_epsilon=0.1, batch_positions=100, epoch_steps=1, term_after=0.0
    )
    plain, _ = Objective(model, settings)(batch)
    beside = Objective(model, settings, neighbours=NeighbourTerm(term, 15.0))
    assert beside(batch, with_term=False)[0].item() == plain.item() != beside(batch)[0].item()

    calls = 0
    original = NeighbourTerm.before_each_item

    def counted(self: NeighbourTerm, *arguments: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return original(self, *arguments)

    monkeypatch.setattr(NeighbourTerm, "before_each_item", counted)
    data = TrainingData(sequences, sequences, [s[:1] for s in SEQUENCES], False, NeighbourTerm(term, 15.0))
    for after, epochs in ((0.0, 8), (0.25, 6), (0.99, 0)):
        calls = 0
        changed = settings.model_copy(update={"term_after": after})
        train(model, data, Run("finetune", changed, 0, torch.float32, tmp_path / str(after), Team(torch.device("cpu"))))
        assert calls == 2 * epochs  # one batch an epoch, read twice
