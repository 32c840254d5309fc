"""Learns a policy from a log of shown lists, judges it on users it did not learn from, and writes it only where it is better.

Judged is the way of learning: users are parted into folds, and the lists of each are weighed by what the other folds taught. What is
written has learnt from all of them. A bundle comes out: its weights, and an offset for each item, are the policy's.
"""

import hashlib
import logging
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from longtail.contracts.artifacts import BUNDLE, manifest_digest, write_artifact
from longtail.contracts.errors import UserError
from longtail.policies.bandit import Base, Learned, learn_bandit
from longtail.policies.cases import Case, cases_of, offsets_of
from longtail.policies.list_value import Compared, compare, place_probabilities, weigh
from longtail.policies.policy_gradient import Climb, fine_tune
from longtail.policies.settings import GradientSettings, LearningSettings, Method
from longtail.policies.shown_lists import ShownList
from longtail.scoring.bundle import ENCODERS, LIKENESS, PARTS, POSTERIOR, Bundle, copy_files, items_table
from longtail.scoring.bundle_writing import write_tables
from longtail.scoring.exploring import shares_of_beliefs
from longtail.scoring.recommender import Recommender

log = logging.getLogger(__name__)
STALE = ("counted_alone", "refreshed")  # facts of a bundle that do not hold of one with other weights
SHARES = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)  # of what was learnt, beside the bundle's own scores
NEAR = 0.5  # least share of effective lists for a share to be chosen
WEIGHTS = (0.8, 1.25)  # mean importance weights between which the log shows what the policy does
ROUNDING = 1e-9
BELIEFS = 64  # draws by which a policy that draws from its beliefs is judged
SAME = 1e-4  # relative difference up to which a propensity is taken as the bundle's own


@dataclass(frozen=True)
class Judged:
    """compared: the policy with the log, on lists of users it did not learn from; share: of what was learnt, the rest being the bundle's
    own scores; kept: whether it is better, and why_not else; left_out: lists -> how often; own: share of the log's lists whose
    propensities are those of the bundle that is learnt from, of those that are not drawn from beliefs."""

    method: Method
    compared: Compared
    share: float
    why_not: str | None
    left_out: Mapping[str, int]
    own: float | None

    @property
    def kept(self) -> bool:
        return self.why_not is None


def learn_policy(
    bundle: Bundle,
    lists: Sequence[ShownList],
    method: Method,
    settings: LearningSettings,
    of_gradient: GradientSettings | None = None,
) -> tuple[Judged, Learned]:
    """Learn, and judge by the log.

    Raises:
        UserError: no list is left that the bundle can say something of, or fewer users than folds.
    """
    cases, left_out = cases_of(Recommender(bundle), lists, settings.candidates)
    folds = _folds(cases, settings.folds)
    base = base_of(bundle)
    climb = _climb(cases, of_gradient or GradientSettings())
    found: list[Any] = [None] * len(cases)
    shares = []
    for fold in range(settings.folds):
        taught = [case for case, of in zip(cases, folds) if of != fold]
        shares.append(_share(taught, base, method, climb))
        learned = _taught(taught, base, method, climb).mixed(base, shares[-1], taught)
        for place in np.flatnonzero(folds == fold):
            found[place] = _probabilities(cases[place], learned)
        log.info("policy: judged part %d of %d", fold + 1, settings.folds)
    compared = compare(cases, found)
    share = sorted(shares)[(len(shares) - 1) // 2]  # the median: chosen again it might be another than was judged
    learned = _taught(cases, base, method, climb).mixed(base, share, cases)
    return Judged(method, compared, share, _why_not(compared, settings), dict(left_out), _own(cases, base)), learned


def base_of(bundle: Bundle) -> Base:
    """What learning begins with."""
    new = (bundle.train_counts == 0).astype(np.float64)
    return Base(bundle.part_weights.astype(np.float64), new, offsets_of(bundle).astype(np.float64))


def _share(cases: Sequence[Case], base: Base, method: Method, climb: Climb) -> float:
    """How much of what is learnt is best beside the bundle's own scores, by a quarter of the users of whom nothing was learnt for that.

    A linear model of rewards is wrong far from what was shown, so its scores alone lead too far away.
    """
    part = _parts_of_users(cases, 4, b"share")
    taught, asking = ([case for case, of in zip(cases, part) if (of == 0) == asks] for asks in (False, True))
    found, best, share = _taught(taught, base, method, climb), -np.inf, SHARES[0]
    for more in SHARES:
        mixed = found.mixed(base, more, taught)
        judged = weigh(asking, [_probabilities(case, mixed) for case in asking])
        if judged.ess < NEAR * len(asking):
            break  # what lies further away the log can tell even less of
        if judged.difference - judged.error > best:
            best, share = judged.difference - judged.error, more
    return share


def _probabilities(case: Case, learned: Learned) -> NDArray[np.float64]:
    """With which the policy, exploring as the log did, shows the case's items at their places. ``[k]``"""
    scores = learned.scores(case)
    if not case.explore.thompson:
        return place_probabilities(case, scores)
    if learned.posterior is None:
        raise UserError(
            "log: holds lists that thompson drew, and policy-gradient learns no beliefs to draw from; take --method thompson or linucb, or a "
            "log with explore's temperature or epsilon"
        )
    rng = np.random.default_rng([*case.shown, round(float(case.propensities[0]) * 1e9)])
    drawn = learned.posterior.draws(case.parts[:, : len(PARTS)], case.codes, case.bucket, BELIEFS, rng)
    return shares_of_beliefs(scores + drawn, case.shown)


def _taught(cases: Sequence[Case], base: Base, method: Method, climb: Climb) -> Learned:
    if method == "policy-gradient":
        return fine_tune(cases, base, climb)
    return learn_bandit(cases, base, "logistic" if method == "thompson" else "linear")


def _climb(cases: Sequence[Case], given: GradientSettings) -> Climb:
    longest = max(len(case.shown) for case in cases)
    return Climb(given.top_k or longest, given.cap, given.steps, penalty=given.penalty)


def _folds(cases: Sequence[Case], count: int) -> NDArray[np.int64]:
    """Of each case, by its user alone, so that a longer log keeps them. ``[cases]``"""
    users = {case.user for case in cases}
    if len(users) < 10 * count:
        raise UserError(
            f"log: holds lists of {len(users)} users that can be learnt from; {count} parts need at least {10 * count}"
        )
    return _parts_of_users(cases, count, b"fold")


def _parts_of_users(cases: Sequence[Case], count: int, salt: bytes) -> NDArray[np.int64]:
    """0 to ``count`` - 1, of each case by its user's id alone. ``[cases]``"""
    parts = {
        user: int.from_bytes(hashlib.sha256(salt + user.encode()).digest()[:8], "big") % count
        for user in {case.user for case in cases}
    }
    return np.array([parts[case.user] for case in cases])


def _why_not(compared: Compared, settings: LearningSettings) -> str | None:
    if compared.ess < settings.least_effective_lists:
        return (
            f"its value rests on {compared.ess:.0f} lists, by their weights, and least_effective_lists is "
            f"{settings.least_effective_lists:g}: log more lists, or explore more evenly"
        )
    if not WEIGHTS[0] <= compared.mean_weight <= WEIGHTS[1]:
        return f"the log hardly shows what it does: importance weights have the mean {compared.mean_weight:.2f}, not 1"
    if not compared.low > ROUNDING:
        return f"it is not shown to be better: the difference may be {compared.low:+.4f}"
    return None


def _own(cases: Sequence[Case], base: Base) -> float | None:
    before = Learned(base.part_weights, base.offsets)
    cases = [case for case in cases if not case.explore.thompson]
    same = [np.allclose(place_probabilities(case, before.scores(case)), case.propensities, rtol=SAME) for case in cases]
    return float(np.mean(same)) if same else None


def write_policy(
    bundle: Bundle, judged: Judged, learned: Learned, output: str | os.PathLike[str], settings: Mapping[str, Any]
) -> None:
    """Write the bundle with the policy's weights.

    Raises:
        UserError: a place that cannot be used.
    """
    weights = {f"{part}_weight": learned.weights[:, place].astype(np.float32) for place, part in enumerate(PARTS)}
    tensors = replace(bundle.tensors, **weights, item_offset=learned.offsets.astype(np.float32))  # type: ignore[arg-type]
    facts = {name: value for name, value in bundle.facts.items() if name not in STALE}
    facts["policy"] = {
        "method": judged.method,
        "from_manifest": manifest_digest(bundle.path),
        "value": asdict(judged.compared),
        "left_out": dict(judged.left_out),
        "share": judged.share,
        "settings": dict(settings),
    }
    with write_artifact(output, BUNDLE, facts) as folder:
        write_tables(folder, tensors, items_table(bundle), bundle.attributes)
        copy_files(bundle.path, folder, (*ENCODERS, LIKENESS))
        if learned.posterior is not None:
            learned.posterior.save(folder / POSTERIOR)


def report(judged: Judged, lists: Counter[str], output: Path) -> str:
    """What was found, in lines for a terminal. lists: what reading left out."""
    found = judged.compared
    own = "" if judged.own is None else f"; {judged.own:.0%} of them were drawn by this bundle"
    lines = [f"Lists left out, {why}: {count:,}" for why, count in (lists + Counter(judged.left_out)).items()]
    lines += [
        f"Learnt from {found.lists:,} lists of {found.users:,} users{own}",
        f"Chosen items a list: {found.logged:.4f} as logged, {found.value:.4f} by {judged.method}, estimated on users that it did "
        f"not learn from; it takes {judged.share:.0%} of what was learnt",
        f"Difference {found.difference:+.4f} (95% interval {found.low:+.4f} to {found.high:+.4f}); effective lists {found.ess:,.0f}",
        f"Wrote {output}" if judged.kept else f"Nothing was written: {judged.why_not}",
    ]
    return "\n".join(lines)
