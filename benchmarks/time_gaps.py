"""Whether the time between events, beside their order, says what users choose next.

    python benchmarks/time_gaps.py PREPARED ...

PREPARED: folders that `longtail preprocess` wrote with a split by a clock. Of validation users with a history, half choose each row's
weight and the other half are reported: NDCG@10 of what they chose first, by what is chosen together and after (weight) and popularity by
recency. An event of the history counts by its place (.85 a step back, as the sparse term does), by the days before the history's last
event, or also by the days until the moment of asking; or the whole history has another weight after a short, a middling and a long absence.
No test target is read.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from script import run

from longtail.contracts.columns import DAY
from longtail.contracts.errors import UserError
from longtail.contracts.prepared import PreparedDataset, Split
from longtail.metrics.ranking import ndcg, rank_targets
from longtail.metrics.significance import mean_intervals
from longtail.neighbours.counting import cosine_cooccurrence, following_counts, log_popularity
from longtail.neighbours.recency import choose_half_life, recent_counts
from longtail.neighbours.validation_cases import ValidationCases
from longtail.scoring.rows import SparseRows, unit_rows

WEIGHTS = (0, 1, 2, 4, 8, 16, 32)
STEP = 0.85
RECENT = 50  # items of a history that are read
MOST, SIZE = 4000, 500  # users, and how many are scored at a time
# days before the moment of asking, oldest first -> weights
Decay = Callable[[NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True)
class Asked:
    """Validation users with a history. days: before the first target, of each item of the history, oldest first."""

    histories: list[NDArray[np.int32]]
    days: list[NDArray[np.float64]]
    first: list[NDArray[np.int32]]

    @classmethod
    def of(cls, prepared: PreparedDataset, seed: int = 0) -> "Asked":
        if not prepared.by_clock:
            raise UserError(
                f"{prepared.artifact.path}: is split by each user's own events, so its gaps are not those of real users"
            )
        targets, times = prepared.targets(Split.VALIDATION), prepared.timestamps
        histories, days, first = list[NDArray[np.int32]](), list[NDArray[np.float64]](), list[NDArray[np.int32]]()
        for place in np.random.default_rng(seed).permutation(len(targets)).tolist():
            if len(targets.histories[place]) == 0 or len(first) == MOST:
                continue
            rows = np.flatnonzero(prepared.user_codes == targets.users[place])
            known, now = rows[prepared.splits[rows] == Split.TRAIN], rows[prepared.splits[rows] == Split.VALIDATION]
            histories.append(targets.histories[place])
            days.append((times[now].min() - times[known]) / DAY)
            first.append(targets.items[place][:1])
        return cls(histories, days, first)

    def shown(self, decay: Decay, n_items: int) -> SparseRows:
        """What each item of the histories counts. ``[users, items]``"""
        recent = [days[-RECENT:] for days in self.days]
        users = np.repeat(np.arange(len(recent)), [len(days) for days in recent])
        items = np.concatenate([history[-RECENT:] for history in self.histories])
        values = np.concatenate([decay(days) for days in recent]).astype(np.float32)
        return sparse.csr_array((values, (users, items)), shape=(len(recent), n_items))


def by_place(days: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(STEP ** np.arange(len(days) - 1, -1, -1.0))


def before_the_last(scale: float) -> Decay:
    return lambda days: np.exp((days[-1] - days) / scale)


def before_asking(scale: float) -> Decay:
    return lambda days: by_place(days) * np.exp(-days / scale)


def decays() -> dict[str, Decay]:
    """Ways of letting an event of the history count less, by what a row is called."""
    found: dict[str, Decay] = {"by place": by_place}
    found |= {f"days before the last event, {scale}": before_the_last(scale) for scale in (1, 7, 30, 90, 365)}
    return found | {f"place and days before asking, {scale}": before_asking(scale) for scale in (7, 30, 90, 365)}


def gains_by_weight(
    prepared: PreparedDataset, asked: Asked, shown: SparseRows, together: SparseRows, popular: NDArray[np.float32]
) -> NDArray[np.float64]:
    """NDCG@10 of every user with every weight. ``[users, WEIGHTS]``"""
    found = np.zeros((len(asked.first), len(WEIGHTS)))
    for begin in range(0, len(found), SIZE):
        users = slice(begin, begin + SIZE)
        near = (shown[users] @ together).toarray()
        excluded = asked.histories[users] if prepared.exclude_history else []
        for column, weight in enumerate(WEIGHTS):
            found[users, column] = ndcg(rank_targets(weight * near + popular, asked.first[users], excluded))
    return found


def chosen(gains: NDArray[np.float64], choosing: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The gains with the weight that is best for the users who choose. ``[users]``"""
    return gains[:, int(np.argmax(gains[choosing].mean(axis=0)))]


def rows_of(prepared: PreparedDataset) -> dict[str, NDArray[np.float64]]:
    """NDCG@10 of the users who are reported, of each way."""
    asked, n_items, sequences = Asked.of(prepared), len(prepared.item_ids), prepared.train_sequences()
    together = unit_rows(cosine_cooccurrence(sequences, n_items) + following_counts(sequences, n_items))
    popular = log_popularity(recent_counts(prepared, choose_half_life(prepared, ValidationCases.of(prepared))))
    choosing = np.arange(len(asked.first)) % 2 == 0
    gains = {
        name: gains_by_weight(prepared, asked, asked.shown(decay, n_items), together, popular)
        for name, decay in decays().items()
    }
    found = {name: chosen(all_weights, choosing)[~choosing] for name, all_weights in gains.items()}
    absence = np.array([days[-1] for days in asked.days])
    third = np.digitize(absence, np.quantile(absence[choosing], [1 / 3, 2 / 3]))
    whole = chosen(gains["by place"], choosing)
    for each in np.unique(third[choosing]):
        whole[third == each] = chosen(gains["by place"][third == each], choosing[third == each])
    return found | {"by place, a weight for each third of absences": whole[~choosing]}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prepared", nargs="+", type=Path)
    for folder in parser.parse_args(arguments).prepared:
        found = rows_of(PreparedDataset(folder))
        usual = found["by place"]
        print(f"{folder.name}, {len(usual):,} users\n\n| history counts | NDCG@10 | minus by place |\n|---|---|---|")
        for name, gains in found.items():
            more = mean_intervals((gains - usual)[:, None], 1000, 0.95, 0)
            shown = f"{more.mean[0]:+.4f} ({more.low[0]:+.4f} to {more.high[0]:+.4f})" if gains is not usual else ""
            print(f"| {name} | {gains.mean():.4f} | {shown} |", flush=True)
    return 0


if __name__ == "__main__":
    run(main)
