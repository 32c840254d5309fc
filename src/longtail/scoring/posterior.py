"""How sure a policy that was learnt from a log is of its weights: a normal distribution of them, and draws from it.

An item's score is a small number of weights times what is known of user and item, and an offset of the item's own. Each event of the
log is about one item, so the precision of all of them is ``[[A, C], [C', diag(d)]]``: a small full block, one number for each item,
and what couples them. Its inverse is never made: with ``S = A - C diag(1/d) C'`` the small weights have covariance ``S^-1``, and given
them the offsets are independent, with mean ``-C' w / d`` and variance ``1 / d`` (block elimination; the hybrid model of Li et al. 2010).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from longtail.contracts.errors import UserError
from longtail.scoring.bundle import LENGTH_BUCKETS, PARTS

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Posterior:
    """Around the weights that the bundle holds.

    factor [small, small]: ``factor @ factor.T`` is the covariance of the small weights; coupling [small, items] and precision [items]:
    C and d; beside [2, items]: whether an item was new, and the offset that it had before; maps [LENGTH_BUCKETS, PARTS + 2, small]:
    what the small weights mean for those of the parts and of the two beside them; prior [1]: precision of the offset of an item
    without any event; scale [1]: what offsets are multiplied with, as maps are already, to be scores.
    """

    factor: Floats
    coupling: Floats
    precision: Floats
    beside: Floats
    maps: Floats
    prior: Floats
    scale: Floats

    def draws(
        self, parts: NDArray[np.floating], items: NDArray[np.integer], bucket: int, count: int, rng: np.random.Generator
    ) -> Floats:
        """Deviations of the items' scores from those of the weights' mean.

        Args:
            parts: of the items' scores, as ``Scorer.parts``. ``[n, PARTS]``
            items: their codes, each once; of those behind the end of what was learnt nothing is known. ``[n]``

        Returns:
            ``[count, n]``
        """
        weights = rng.normal(size=(count, len(self.factor))) @ self.factor.T
        known = items < len(self.precision)
        places = np.where(known, items, 0)
        precision = np.where(known, self.precision[places], self.prior[0])
        coupling = np.where(known, self.coupling[:, places], 0.0)  # [small, n]
        offsets = rng.normal(size=(count, len(items))) / np.sqrt(precision) - weights @ coupling / precision
        return np.asarray(weights @ self.maps[bucket].T @ self._rows(parts, items).T + self.scale * offsets)

    def deviations(self, parts: NDArray[np.floating], items: NDArray[np.integer], bucket: int) -> Floats:
        """Standard deviation of each item's score; arguments as of ``draws``, of items that were learnt of. ``[n]``"""
        precision, coupling = self.precision[items], self.coupling[:, items]
        rows = self._rows(parts, items) @ self.maps[bucket] - self.scale * (coupling / precision).T  # [n, small]
        return np.asarray(np.sqrt(np.square(rows @ self.factor).sum(axis=1) + np.square(self.scale) / precision))

    def _rows(self, parts: NDArray[np.floating], items: NDArray[np.integer]) -> Floats:
        """``[n, PARTS + 2]``"""
        known = items < len(self.precision)
        beside = np.where(known, self.beside[:, np.where(known, items, 0)], [[1.0], [0.0]])
        return np.column_stack([parts.astype(np.float64), beside.T])

    def save(self, path: Path) -> None:
        save_file({name: np.ascontiguousarray(value) for name, value in vars(self).items()}, path)

    @classmethod
    def load(cls, path: Path) -> "Posterior":
        """
        Raises:
            UserError: the file holds something else.
        """
        try:
            found = cls(**load_file(path))
            small, items = found.coupling.shape
            fits = found.maps.shape == (LENGTH_BUCKETS, len(PARTS) + 2, small) and found.beside.shape == (2, items)
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise UserError(f"{path}: cannot be read ({error}); learn the policy again") from None
        if not fits or found.factor.shape != (small, small) or found.precision.shape != (items,):
            raise UserError(f"{path}: its arrays do not fit each other; learn the policy again")
        return found
