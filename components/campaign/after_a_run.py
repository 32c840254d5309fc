"""A campaign on a run's own results: everybody of the Prepared data set, with items by the bundle that is served."""

from pathlib import Path
from typing import Any

from longtail.components.campaign.lists import AskedLists
from longtail.components.campaign.plan import plan
from longtail.components.campaign.settings import CampaignSettings
from longtail.components.campaign.tables import of_prepared
from longtail.contracts.prepared import PreparedDataset
from longtail.scoring.recommender import Recommender


def plan_after_run(
    prepared: str | Path, bundle: str | Path, output: str | Path, settings: CampaignSettings, seed: int
) -> dict[str, Any]:
    """Write a Campaign artifact as of just after the last event; returns the facts of its plan.json.

    Raises:
        UserError: as ``plan``.
    """
    everybody = of_prepared(PreparedDataset(prepared))
    at = everybody.moment()
    lists = AskedLists(Recommender.load(bundle), everybody, at, settings.price)
    return plan(everybody, lists, output, settings, seed, at)
