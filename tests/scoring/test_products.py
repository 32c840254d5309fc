import numpy as np
import onnx
import onnxruntime
import pytest

from longtail.scoring import products
from longtail.scoring.int8 import Int8Rows
from longtail.scoring.products import ItemProducts, _graph


@pytest.mark.parametrize(("items", "dim", "queries"), [(1, 1, 1), (127, 8, 3), (128, 240, 16), (5000, 33, 2)])
def test_products_are_numpys(items: int, dim: int, queries: int) -> None:
    rng = np.random.default_rng(0)
    matrix, vectors = (rng.normal(size=(rows, dim)).astype(np.float32) for rows in (items, queries))
    found = ItemProducts(matrix, onnxruntime.SessionOptions())(vectors)
    np.testing.assert_allclose(found, vectors @ matrix.T, atol=1e-4)
    np.testing.assert_allclose(matrix, np.random.default_rng(0).normal(size=(items, dim)).astype(np.float32))


def test_what_int8_rows_stand_for_is_multiplied() -> None:
    rng = np.random.default_rng(0)
    rows = Int8Rows.of(rng.normal(size=(300, 16)).astype(np.float32))
    vectors = rng.normal(size=(2, 16)).astype(np.float32)
    found = ItemProducts(rows, onnxruntime.SessionOptions())(vectors)
    np.testing.assert_allclose(found, vectors @ rows[:].T, atol=1e-4)


def test_a_large_matrix_is_not_held_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "MOST_BYTES", 300 * 16 * 4 - 1)
    rng = np.random.default_rng(0)
    matrix, vectors = (rng.normal(size=(rows, 16)).astype(np.float32) for rows in (300, 2))
    found = ItemProducts(matrix, onnxruntime.SessionOptions())
    assert found._session is None
    np.testing.assert_allclose(found(vectors), vectors @ matrix.T, atol=1e-4)


@pytest.mark.parametrize(("items", "dim"), [(1, 1), (127, 240), (128, 16), (1_000_000, 20_000)])
def test_the_graph_is_what_onnx_itself_reads(items: int, dim: int) -> None:
    model = onnx.load_from_string(_graph(items, dim))
    (weights,) = model.graph.initializer
    assert list(weights.dims) == [dim, items]
    assert [node.op_type for node in model.graph.node] == ["MatMul"]
    place = model.graph.output[0].type.tensor_type.shape.dim
    assert (place[0].dim_param, place[1].dim_value) == ("n", items)
