from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from longtail.modeling.export import export_sequence_encoder
from longtail.modeling.sequence_model import SequenceEncoder, SequenceModel, Shape
from longtail.modeling.sequences import Sequences, query_vectors

SHAPE = Shape(dim=16, blocks=2, heads=4, max_history=10, dropout=0.5, temperature=0.1)


def make_model(n_items: int = 12, n_attributes: int = 3) -> SequenceModel:
    torch.manual_seed(0)
    model = SequenceModel(SHAPE, torch.randn(n_items, 5), 5, n_attributes).eval()
    for block in model.encoder.blocks:
        torch.nn.init.normal_(block.attention.distance_bias)
    return model


def test_an_item_whose_picture_is_unseen_is_as_one_without() -> None:
    torch.manual_seed(0)
    features = torch.randn(4, 7)  # 2 of text, 3 of the picture, 2 of words
    model = SequenceModel(SHAPE, features, 2, 0, 3).eval()
    blank = features.clone()
    blank[[1, 3], 2:5] = 0
    found = model.item_vectors(torch.tensor([False, True, False, True]))
    whole = model.item_vectors()
    model.features = blank
    assert torch.allclose(found, model.item_vectors(), atol=1e-6)
    assert torch.equal(found[[0, 2]], whole[[0, 2]])
    assert not torch.allclose(found[1], whole[1], atol=1e-2)


def test_a_query_never_depends_on_later_items() -> None:
    model = make_model()
    vectors = model.item_vectors()
    starts = model.start.expand(1, -1)
    one = model(vectors, torch.tensor([[1, 2, 3, 4]]), starts)
    other = model(vectors, torch.tensor([[1, 2, 9, 8]]), starts)
    assert torch.allclose(one[:, :3], other[:, :3], atol=1e-6)
    assert not torch.allclose(one[:, 3], other[:, 3], atol=1e-3)


def test_queries_and_items_are_cosines_over_the_temperature() -> None:
    model = make_model()
    queries = model(model.item_vectors(), torch.tensor([[1, 2]]), model.start.expand(1, -1))
    assert torch.allclose(queries.norm(dim=-1), torch.full((1, 3), 10.0), atol=1e-4)
    assert torch.allclose(model.item_vectors().norm(dim=-1), torch.ones(12), atol=1e-5)


def test_batched_query_vectors_equal_one_by_one() -> None:
    model = make_model()
    histories = [np.array(row, dtype=np.int32) for row in ([], [3], [1, 2, 3, 4, 5], [7, 8], list(range(12)))]
    attributes = [np.array(row, dtype=np.int64) for row in ([0], [], [1, 2], [2], [])]
    together = query_vectors(model, Sequences(histories, attributes, 10), size=2)
    for row in range(len(histories)):
        alone = query_vectors(model, Sequences(histories[row : row + 1], attributes[row : row + 1], 10))
        assert torch.allclose(together[row], alone[0], atol=1e-5)


def test_attributes_change_the_answer_of_a_newcomer() -> None:
    model = make_model()
    empty = np.zeros(0, dtype=np.int32)
    two = query_vectors(model, Sequences([empty, empty], [np.array([0]), np.array([1])], 10))
    assert not torch.allclose(two[0], two[1], atol=1e-3)


def test_buckets_hold_every_training_user_once() -> None:
    rng = np.random.default_rng(0)
    lengths = rng.integers(0, 9, 200)
    sequences = Sequences([np.zeros(n, np.int32) for n in lengths], [np.zeros(0, np.int64)] * 200, 10)
    rows = np.concatenate(list(sequences.bucketed(32, rng)))
    assert sorted(rows.tolist()) == np.flatnonzero(lengths > 0).tolist()


@pytest.mark.slow
def test_the_onnx_export_answers_as_torch_at_other_shapes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder = SequenceEncoder(SHAPE).eval()
    export_sequence_encoder(encoder, tmp_path / "sequence_encoder.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "sequence_encoder.onnx"))
    inputs = torch.randn(4, 1, 16)
    (found,) = session.run(None, {"inputs": inputs.numpy(), "lengths": np.ones(4, np.int64)})
    assert np.allclose(found, encoder(inputs)[:, 0].detach().numpy(), atol=1e-4)


@pytest.mark.parametrize("blocks", [1, 2])
def test_the_last_query_alone_is_the_one_of_all_places(blocks: int) -> None:
    torch.manual_seed(0)
    encoder = SequenceEncoder(replace(SHAPE, blocks=blocks)).eval()
    for block in encoder.blocks:
        torch.nn.init.normal_(block.attention.distance_bias)
    inputs, lengths = torch.randn(4, 6, SHAPE.dim), torch.tensor([6, 1, 3, 5])
    found = encoder.last(inputs, lengths)
    torch.testing.assert_close(found, encoder(inputs)[torch.arange(4), lengths - 1])
