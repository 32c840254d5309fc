"""Products of query vectors with all items' vectors, for few queries at a time: about twice as fast by onnxruntime, which lays the matrix
out once, as by numpy's BLAS (benchmarks/products.py).
"""

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from longtail.scoring.int8 import Int8Rows, Matrix, products

FLOAT = 1  # onnx.TensorProto.FLOAT
IR_VERSION, OPSET = 8, 17
MOST_BYTES = 256_000_000  # of a matrix that is held once more, laid out; a larger one is read as it is


class ItemProducts:
    """``vectors @ matrix.T``. Safe to share between threads. matrix [items, dim]; ``[n, dim] -> [n, items]``"""

    def __init__(self, matrix: Matrix, options: onnxruntime.SessionOptions) -> None:
        self._matrix = matrix
        self._session: onnxruntime.InferenceSession | None = None
        if not isinstance(matrix, Int8Rows) and matrix.nbytes <= MOST_BYTES:
            own = onnxruntime.SessionOptions()
            own.intra_op_num_threads = options.intra_op_num_threads
            laid_out = np.ascontiguousarray(matrix.T)
            self._items = onnxruntime.OrtValue.ortvalue_from_numpy(laid_out)  # kept, as the session may read it
            own.add_external_initializers(["items"], [self._items])
            self._session = onnxruntime.InferenceSession(_graph(*matrix.shape), own, providers=["CPUExecutionProvider"])

    def __call__(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        if self._session is None:
            return products(vectors, self._matrix)
        (found,) = self._session.run(None, {"vectors": vectors})
        return np.asarray(found, dtype=np.float32)


def _graph(items: int, dim: int) -> bytes:
    """An ONNX model of one MatMul, in the wire format of protocol buffers, as the package that writes it is not where models are served.

    The fields' numbers are those of onnx.proto.
    """
    # external_data, which add_external_initializers replaces
    place = _field(13, _field(1, b"location") + _field(2, b"given"))
    weights = _number(1, dim) + _number(1, items) + _number(2, FLOAT) + _field(8, b"items") + place + _number(14, 1)
    node = _field(1, b"vectors") + _field(1, b"items") + _field(2, b"scores") + _field(4, b"MatMul")
    graph = _field(1, node) + _field(2, b"products") + _field(5, weights)
    graph += _field(11, _floats(b"vectors", dim)) + _field(12, _floats(b"scores", items))
    return _number(1, IR_VERSION) + _field(7, graph) + _field(8, _field(1, b"") + _number(2, OPSET))


def _floats(name: bytes, width: int) -> bytes:
    """A ValueInfoProto of floats [n, width]."""
    shape = _field(1, _field(2, b"n")) + _field(1, _number(1, width))
    return _field(1, name) + _field(2, _field(1, _number(1, FLOAT) + _field(2, shape)))


def _field(number: int, payload: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(payload)) + payload


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])
