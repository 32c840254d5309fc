"""What is taken where validation users are too few to choose: shares of the sparse term, and weights beside the dense part."""

from dataclasses import dataclass

from longtail.scoring.bundle import LENGTH_BUCKETS, Bundle

FEWEST = 100  # validation users by whom anything is chosen


@dataclass(frozen=True)
class Weights:
    """Of the terms of a score, for one length of history."""

    dense: float = 1.0
    neighbours: float = 0.0
    popularity: float = 0.0
    traits: float = 0.0


@dataclass(frozen=True)
class Usual:
    """shares: of what is chosen together, what comes after, words and texts; weights: by bucket of the history's length."""

    shares: tuple[float, ...] = (0.0, 0.5, 0.25, 0.25)
    decay: float = 0.85
    weights: tuple[Weights, ...] = (
        Weights(popularity=1.0),
        *[Weights(neighbours=14.0)] * (LENGTH_BUCKETS - 1),  # of few events, one more makes an item far too popular
    )

    @classmethod
    def of(cls, bundle: Bundle) -> "Usual":
        """What another bundle's validation users chose; attributes and context are of its own data, and have no weight."""
        term, tensors = bundle.facts["sparse_term"], bundle.tensors
        by_length = zip(tensors.dense_weight, tensors.neighbour_weight, tensors.popularity_weight)
        weights = tuple(Weights(*map(float, each)) for each in by_length)
        return cls(tuple(term["shares"]), term["decay"], weights)


USUAL = Usual()
