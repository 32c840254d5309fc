"""What a learned policy believes of one user's items, where the bundle holds how sure it is."""

from longtail.contracts.errors import UserError
from longtail.scoring.asked import Asked
from longtail.scoring.bundle import POSTERIOR
from longtail.scoring.exploring import Deviations
from longtail.scoring.posterior import Posterior
from longtail.scoring.query import Query
from longtail.scoring.scorer import Scorer, buckets_of


class Beliefs:
    """Of a bundle; it may hold none."""

    def __init__(self, scorer: Scorer) -> None:
        held = scorer.bundle.path / POSTERIOR
        self._scorer = scorer
        self.posterior = Posterior.load(held) if held.is_file() else None

    def check(self, asked: Asked) -> None:
        """Refuse a question that asks for draws from them and cannot have any.

        Raises:
            UserError: nothing was learnt that says how sure it is, or the question is of words or likeness.
        """
        if self.posterior is None:
            raise UserError(
                "explore.thompson: this model holds no policy that was learnt by thompson or linucb; give epsilon or temperature"
            )
        if asked.interests or asked.similar_to:
            raise UserError(
                "explore.thompson acts with neither interests nor similar_to, of which the policy learnt nothing; give epsilon or "
                "temperature, or leave them out"
            )

    def about(self, query: Query) -> Deviations:
        """Draws of how far items' scores are from what is believed of them on average."""
        assert self.posterior is not None
        parts, bucket, draws = self._scorer.parts(query), int(buckets_of([query])[0]), self.posterior.draws
        return lambda items, count, rng: draws(parts[items], items, bucket, count, rng)
