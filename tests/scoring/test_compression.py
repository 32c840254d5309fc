"""Compression acts on what its setting names and on nothing else; what it costs is measured as evaluate measures."""

import json

import numpy as np
import onnxruntime
import pytest
from helpers_hand_bundle import save, write_hand_bundle
from helpers_prepared import write_bundle_for, write_tiny_prepared
from onnx import TensorProto, helper
from scipy import sparse

from longtail.contracts.artifacts import MANIFEST
from longtail.contracts.errors import UserError
from longtail.contracts.prepared import PreparedDataset
from longtail.scoring.bundle import load_bundle
from longtail.scoring.compression import quantize_encoder, write_compressed
from longtail.scoring.compression_loss import compress, loss_per_k, table
from longtail.scoring.compression_settings import CompressionSettings
from longtail.scoring.int8 import Int8Rows
from longtail.scoring.scorer import Scorer

ARRAYS = ("log_popularity", "start", "attribute_matrix", "text_projection", "neighbour_weight", "popularity_weight")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return PreparedDataset(write_tiny_prepared(tmp_path_factory.mktemp("data") / "prepared"))


@pytest.fixture(scope="module")
def plain(tmp_path_factory, data):
    return write_bundle_for(tmp_path_factory.mktemp("plain") / "bundle", data, seed=3)


def smaller(plain, data, path, **settings):
    compress(plain, path, CompressionSettings(keep_ndcg=0, **settings), data)
    return load_bundle(path)


def test_int8_items_change_the_item_matrix_alone(plain, data, tmp_path):
    before, after = load_bundle(plain), smaller(plain, data, tmp_path / "out", int8_items=True)
    assert isinstance(after.tensors.item_matrix, Int8Rows)
    assert after.tensors.item_matrix.codes.dtype == np.int8
    assert after.tensors.item_matrix[:] == pytest.approx(before.tensors.item_matrix, abs=1 / 254)
    for name in ARRAYS:
        assert np.array_equal(getattr(after.tensors, name), getattr(before.tensors, name))
    assert (after.tensors.neighbours != before.tensors.neighbours).nnz == 0
    assert (after.item_ids, after.titles, after.attributes) == (before.item_ids, before.titles, before.attributes)
    assert (after.path / "sequence_encoder.onnx").read_bytes() == (plain / "sequence_encoder.onnx").read_bytes()
    assert (plain / "tensors.safetensors").stat().st_size > (after.path / "tensors.safetensors").stat().st_size


def test_an_int8_bundle_scores_almost_alike(plain, data, tmp_path):
    after = smaller(plain, data, tmp_path / "out", int8_items=True)
    queries = [query for query in _queries(data) if len(query.history)]
    one, other = Scorer(load_bundle(plain)).score(queries), Scorer(after).score(queries)
    assert other == pytest.approx(one, abs=0.02)
    assert not np.array_equal(one, other)


def test_keep_neighbours_keeps_the_greatest_of_each_row(plain, data, tmp_path):
    before, after = load_bundle(plain), smaller(plain, data, tmp_path / "out", keep_neighbours=2)
    for row in range(len(data.item_ids)):
        values = np.sort(before.tensors.neighbours[[row]].data)[::-1]
        assert sorted(after.tensors.neighbours[[row]].data, reverse=True) == values[:2].tolist()
    assert np.array_equal(after.tensors.item_matrix, before.tensors.item_matrix)


def test_compressing_twice_keeps_what_was_compressed(plain, data, tmp_path):
    smaller(plain, data, tmp_path / "once", int8_items=True)
    twice = smaller(tmp_path / "once", data, tmp_path / "twice", keep_neighbours=1)
    once = load_bundle(tmp_path / "once")
    assert np.array_equal(twice.tensors.item_matrix.codes, once.tensors.item_matrix.codes)
    assert np.diff(twice.tensors.neighbours.indptr).max() == 1


def test_the_manifest_holds_settings_source_and_loss(plain, data, tmp_path):
    loss = compress(plain, tmp_path / "out", CompressionSettings(int8_items=True, keep_ndcg=0), data)
    facts = json.loads((tmp_path / "out" / MANIFEST).read_text())["facts"]
    assert facts["compression"]["validation_ndcg"] == loss
    assert facts["compression"]["settings"]["int8_items"] is True
    assert facts["train_digest"] == data.train_digest()
    assert list(loss) == ["0", "1", "2", "3", "4", "all"]
    for row in loss.values():
        assert row["kept"] == pytest.approx(row["after"] / row["before"])


def test_too_great_a_loss_is_refused_and_nothing_is_written(plain, data, tmp_path, monkeypatch):
    worse = {"all": {"before": 0.5, "after": 0.4, "kept": 0.8}}
    monkeypatch.setattr("longtail.scoring.compression_loss.loss_per_k", lambda *_, **__: worse)
    with pytest.raises(UserError, match=r"keeps 80\.00% .* less than keep_ndcg 0\.995"):
        compress(plain, tmp_path / "out", CompressionSettings(int8_items=True), data)
    assert list(tmp_path.iterdir()) == []


def test_nothing_to_do_is_said(plain, data, tmp_path):
    with pytest.raises(UserError, match="no compression is on; turn one of int8_items"):
        compress(plain, tmp_path / "out", CompressionSettings(), data)


def test_the_loss_is_measured_on_the_data_of_the_bundle(plain, tmp_path):
    other = PreparedDataset(write_tiny_prepared(tmp_path / "other", seed=5))
    with pytest.raises(UserError, match="did not learn from"):
        compress(plain, tmp_path / "out", CompressionSettings(int8_items=True), other)


def test_an_encoder_that_is_not_there_cannot_be_compressed(plain, data, tmp_path):
    with pytest.raises(UserError, match=r"int8_text_encoder: .* holds no text encoder"):
        compress(plain, tmp_path / "out", CompressionSettings(int8_text_encoder=True), data)


class _Fixed:
    """Ranks the items by their codes: item 0 first, or last."""

    def __init__(self, sign):
        self.sign = sign

    def score(self, queries):
        return np.tile(-self.sign * np.arange(30, dtype=np.float32), (len(queries), 1))


def test_loss_is_computed_per_revealed_items(data):
    loss = loss_per_k(_Fixed(1), _Fixed(-1), data, revealed=(0, 2))
    targets = _targets(data)
    # without a history, the target's rank is its code + 1, or 30 - its code
    gain = lambda rank: 1 / np.log2(1 + rank) if rank <= 10 else 0  # noqa: E731
    assert loss["0"]["before"] == pytest.approx(np.mean([gain(item + 1) for item, _ in targets]))
    assert loss["0"]["after"] == pytest.approx(np.mean([gain(30 - item) for item, _ in targets]))
    # of two revealed items, those before the target are excluded; only users with two count
    known = [(item, history[-2:]) for item, history in targets if len(history) >= 2]
    expected = [gain(item + 1 - sum(seen < item for seen in history)) for item, history in known]
    assert loss["2"]["before"] == pytest.approx(np.mean(expected))
    assert "–" not in table(loss)


def test_nobody_with_so_long_a_history_is_no_number(data):
    loss = loss_per_k(_Fixed(1), _Fixed(1), data, revealed=(50,))
    assert loss["50"] == {"before": None, "after": None, "kept": None}
    assert table(loss).splitlines()[1].split() == ["50", "–", "–", "–"]


def test_quantised_products_are_small_and_near(tmp_path):
    weight = np.random.default_rng(0).normal(size=(64, 256)).astype(np.float32)
    nodes = [helper.make_node("Transpose", ["w"], ["t"]), helper.make_node("MatMul", ["x", "t"], ["y"])]
    save(nodes, [("x", TensorProto.FLOAT, ["n", 256])], [("y", ["n", 64])], {"w": weight}, tmp_path / "plain.onnx")
    quantize_encoder(tmp_path / "plain.onnx", tmp_path / "int8.onnx")
    assert (tmp_path / "int8.onnx").stat().st_size < (tmp_path / "plain.onnx").stat().st_size / 3
    x = np.random.default_rng(1).normal(size=(5, 256)).astype(np.float32)
    (found,) = onnxruntime.InferenceSession(str(tmp_path / "int8.onnx")).run(None, {"x": x})
    # processors without 8-bit dot products (VNNI) saturate sums of two products, so they are a little further off
    assert found == pytest.approx(x @ weight.T, abs=0.03 * float(np.abs(x @ weight.T).max()))


def test_each_int8_encoder_has_its_own_setting(tmp_path, monkeypatch):
    bundle = load_bundle(write_hand_bundle(tmp_path / "bundle"))
    done = []
    monkeypatch.setattr("longtail.scoring.compression.quantize_encoder", lambda source, _: done.append(source.name))
    for name in ("int8_sequence_encoder", "int8_text_encoder"):
        (tmp_path / name).mkdir()
        after = write_compressed(tmp_path / name, bundle, CompressionSettings(**{name: True}))
        assert np.array_equal(after.tensors.item_matrix, bundle.tensors.item_matrix)
        assert sparse.issparse(after.tensors.neighbours)
    assert done == ["sequence_encoder.onnx", "text_encoder.onnx"]


def _queries(data):
    from longtail.contracts.prepared import Split
    from longtail.scoring.query import queries_of

    return queries_of(data, data.targets(Split.VALIDATION))


def _targets(data):
    """Validation target and history of every user who has one, read from the events themselves."""
    found = []
    for user in range(len(data.user_ids)):
        rows = data.user_codes == user
        items, splits = data.item_codes[rows].tolist(), data.splits[rows].tolist()
        found += [(items[place], items[:place]) for place, split in enumerate(splits) if split == 1]
    return found
