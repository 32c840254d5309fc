"""Every setting of campaigns changes the plan, or is refused: none is there for nothing."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from helpers_campaign import DAY, START, lists, tables
from helpers_hand_bundle import write_hand_bundle
from sklearn.ensemble import HistGradientBoostingClassifier

from longtail.campaign import returning, rewriting
from longtail.components.campaign import choosing
from longtail.components.campaign import plan as stage
from longtail.components.campaign.lists import AskedLists, Lists, WrittenLists
from longtail.components.campaign.settings import CampaignSettings
from longtail.components.campaign.tables import Everybody, of_tables
from longtail.components.campaign.worths import states_at
from longtail.contracts.errors import UserError
from longtail.contracts.settings_base import Settings, leaves, parse
from longtail.scoring.recommender import Recommender

pytestmark = pytest.mark.slow  # they plan for every setting

USERS, IN_LISTS = 420, 330  # the last tenth has no events
AT = START + 401 * DAY + 80_000  # seconds, 20:26 UTC
NEWS = {"name": "news", "channel": "mail", "cost": 0.1, "template": "Hello! For you: $titles."}
BASE: dict[str, Any] = {
    **{f"offers.{name}": value for name, value in NEWS.items()},
    "hold_out.least_effect": 0.2,
    "hold_out.too_small": "say",
    "consent": "consent.csv",
}
QUICK: dict[str, Any] = {"uplift.learner": "none", "uplift.samples": 100, "uplift.folds": 2}
LOG: dict[str, Any] = {"log": ["log.csv"]} | QUICK
FILES = {"consent", "do_not_contact", "contacts", "pseudonyms_key", "log"}  # their values are files of the shop
Change = tuple[dict[str, Any], Any]  # the others beside it, and its changed value

OF_THE_CAMPAIGN: dict[str, Change] = {
    "offers": ({}, [NEWS, NEWS | {"name": "push", "channel": "app", "cost": 0.05}]),
    "budget": ({}, 10.0),
    "channels": ({}, {"mail": 50}),
    "items": ({}, 2),
    "fewest_items": ({}, 0),
    "horizon_days": ({}, 40.0),
    "value_of_outcome": ({}, 5.0),
    "cap": ({"contacts": "sent.csv"}, {"contacts": 1}),
    "cap.contacts": ({"contacts": "sent.csv", "cap": {}}, 2),
    "cap.days": ({"contacts": "sent.csv", "cap": {}}, 2.0),
    "quiet": ({}, {"start": "20:00"}),
    "quiet.start": ({"quiet": {}}, "20:00"),
    "quiet.end": ({"quiet.start": "20:00"}, "07:00"),
    "quiet.time_zone": ({"quiet": {}}, "Europe/Berlin"),
    "quiet.column": ({"quiet": {}}, "zone"),
    "consent": ({}, "half.csv"),
    "do_not_contact": ({}, "stop.csv"),
    "contacts": ({"cap": {}}, "sent.csv"),
    "pseudonyms_key": ({}, "key"),
    "log": (QUICK, ["log.csv"]),
    "rewrite": ({}, {"url": "http://here/v1", "model": "m", "allowed_claims": ["free returns"]}),
    "states.rule": ({}, "quantiles"),
    "states.at_risk_after": ({}, 1.0),
    "states.dormant_after": ({}, 3.0),
    "states.new_within_days": ({}, 200.0),
    "states.trend_days": ({}, 90.0),
    "states.shop_gap_days": ({}, 90.0),
    "hold_out.share": ({}, 0.4),
    "hold_out.least_effect": ({}, 0.3),
    "hold_out.baseline": ({}, 0.1),
    "hold_out.deviation": ({}, 0.4),
    "hold_out.power": ({}, 0.9),
    "hold_out.significance": ({}, 0.01),
    "hold_out.too_small": ({"hold_out.least_effect": 0.001, "hold_out.too_small": "refuse"}, "say"),
}
OF_AN_OFFER: dict[str, Change] = {
    "offers.name": ({}, "letter"),
    "offers.channel": ({}, "app"),
    "offers.cost": ({}, 0.2),
    "offers.capacity": ({}, 50),
    "offers.treatment": (LOG, "push"),
    "offers.template": ({}, "Hi $user! $title"),
}
OF_A_BUNDLE: dict[str, Change] = {
    "offers.all": ({}, ["lamp"]),
    "offers.none": ({}, ["lamp"]),
    "offers.ranges": ({}, {"price": [8, None]}),
    "price": ({"offers.template": "$title: $price"}, "price"),
}
OF_THE_LOG: dict[str, Change] = {
    "uplift.control": ({}, "push"),
    "uplift.learner": ({}, "t"),
    "uplift.folds": ({}, 3),
    "uplift.costs": ({}, {"news": 0.2}),
    "uplift.samples": ({}, 150),
    "uplift.confidence": ({}, 0.8),
    "uplift.imbalance_alpha": ({"log": ["other-shares.csv"]}, 1e-12),
}
ENDPOINT = {"rewrite.url": "http://here/v1", "rewrite.model": "m"}
OF_REWRITING: dict[str, Change] = {
    "rewrite.url": ({}, "http://there/v1"),
    "rewrite.model": ({}, "n"),
    "rewrite.token_variable": ({}, "A_TOKEN"),
    "rewrite.instruction": ({}, "Be brief."),
    "rewrite.allowed_claims": ({}, ["free returns"]),
    "rewrite.timeout_seconds": ({}, 7.0),
    "rewrite.most_characters": ({"rewrite.allowed_claims": ["free returns"]}, 40),
    "rewrite.stop_after": ({"rewrite.model": "down"}, 3),
}
CHANGES: dict[str, Change] = {
    **OF_THE_CAMPAIGN,
    **OF_AN_OFFER,
    **OF_A_BUNDLE,
    **{setting: (LOG | beside, value) for setting, (beside, value) in OF_THE_LOG.items()},
    **{setting: (ENDPOINT | beside, value) for setting, (beside, value) in OF_REWRITING.items()},
}
# settings whose default is refused beside the others, and their changed value is not
NEEDED = {"cap", "contacts", "log", "price", "hold_out.too_small", "uplift.imbalance_alpha"}
ELSEWHERE = {"name", "most_learnt_from"}  # tests below


def every(kind: type[Settings], above: str = "") -> Iterator[str]:
    """Keys of all settings, of those in lists and of those that may be left out, too."""
    for key, field in leaves(kind).items():
        yield above + key
        for part in get_args(field.annotation):
            if isinstance(part, type) and issubclass(part, Settings):
                yield from every(part, f"{above}{key}.")


def test_no_setting_is_forgotten() -> None:
    assert {*CHANGES, *ELSEWHERE} == set(every(CampaignSettings))


class Endpoint:
    """Of rewriting: writes the same of all items, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def open(self, request: Any, timeout: float) -> io.BytesIO:
        body = json.loads(request.data)
        self.asked.append([request.full_url, dict(request.header_items()), body, timeout])
        if body["model"] == "down":
            raise ConnectionError
        titles = ", ".join(json.loads(body["messages"][1]["content"])["items"])
        answer = {"choices": [{"message": {"content": f"Hello! For you: {titles}. Free returns."}}]}
        return io.BytesIO(json.dumps(answer).encode())


def write_logs(folder: Path, ids: list[str]) -> None:
    """Random contacts 40 days ago; `other-shares.csv` holds propensities that are rather not the arms' shares."""
    rng = np.random.default_rng(0)
    for name, shares in (("log", (140, 140, 140)), ("other-shares", (182, 119, 119))):
        arm = rng.permutation(np.repeat(["none", "news", "push"], shares))
        outcome = rng.random(USERS) < np.select([arm == "news", arm == "push"], [0.6, 0.45], 0.3)
        log = pd.DataFrame({"user_id": ids, "treatment": arm, "time": AT - 40 * DAY, "outcome": outcome.astype(int)})
        if name == "log":
            log.assign(value=20.0 * log["outcome"]).to_csv(folder / "valued.csv", index=False)
        else:
            log["propensity"] = 1 / 3
        log.to_csv(folder / f"{name}.csv", index=False)


class Shop:
    """A shop whose plans come to be what ``came_to`` says, each planned once."""

    def __init__(self, folder: Path, endpoint: Endpoint) -> None:
        self.folder, self._endpoint = folder, endpoint
        self._known: dict[str, Any] = {}
        ids = tables(folder, USERS)
        lists(folder / "lists", ids[:IN_LISTS])
        write_logs(folder, ids)
        consent = pd.read_csv(folder / "consent.csv")
        consent[::3].to_csv(folder / "half.csv", index=False)
        pd.DataFrame({"user_id": ids[:50]}).to_csv(folder / "stop.csv", index=False)
        pd.DataFrame({"user_id": ids[:100], "time": AT - 5 * DAY}).to_csv(folder / "sent.csv", index=False)
        (folder / "key").write_text("a-secret-of-32-characters-or-more")
        self._everybody = of_tables(str(folder / "interactions.parquet"), str(folder / "users.csv"))
        attributes, numbers = (("lamp",), ("lamp",), ("chair",), ("chair",)), {"price": [5, 9, 20, 7]}
        self._bundle = Recommender.load(write_hand_bundle(folder / "bundle", attributes=attributes, numbers=numbers))
        items = self._everybody.events["item_id"].str[-1].map(dict(zip("0123456789", "abcdabcdab")))
        events = self._everybody.events.assign(item_id=items)
        self._of_bundle = Everybody(self._everybody.users, events, "the bundle's shop")

    def _document(self, changes: dict[str, Any]) -> dict[str, Any]:
        document: dict[str, Any] = {}
        for key, value in (BASE | changes).items():
            if key in FILES:
                value = [str(self.folder / one) for one in value] if key == "log" else str(self.folder / value)
            above, _, last = key.rpartition(".")
            (document.setdefault(above, {}) if above else document)[last] = value
        if isinstance(document["offers"], dict):
            document["offers"] = [document["offers"]]
        return document

    def planned(self, changes: dict[str, Any], bundle: bool = False) -> dict[str, Any]:
        """Facts of a plan, its table's rows, and what the endpoint was asked."""
        settings = parse(CampaignSettings, self._document(changes), "a test")
        everybody = self._of_bundle if bundle else self._everybody
        at = AT * 1_000_000
        source: Lists = WrittenLists(self.folder / "lists")
        if bundle:
            source = AskedLists(self._bundle, everybody, at, settings.price)
        output = self.folder / f"plan{len(list(self.folder.glob('plan*')))}"
        self._endpoint.asked.clear()
        facts = stage.plan(everybody, source, output, settings, 0, at)
        table = pq.read_table(output / "campaign.parquet").to_pylist()
        return facts | {"table": repr(table), "asked": self._endpoint.asked.copy()}

    def came_to(self, changes: dict[str, Any], bundle: bool = False) -> Any:
        """The plan without what only says its settings again; or why there is none."""
        key = json.dumps([changes, bundle])
        if key not in self._known:
            try:
                found = self.planned(changes, bundle)
                for stated in ("settings", "name", "budget"):
                    del found[stated]
                for stated in ("least_effect", "baseline"):
                    del found["hold_out"][stated]
                for effect in found["effects"].values():
                    del effect["cost"]
                self._known[key] = json.loads(json.dumps(found))
            except UserError as error:
                self._known[key] = str(error)
        return self._known[key]


def quick_returns(x: Any, returned: Any, seed: int) -> Any:
    """In place of the calibrated model, which takes two seconds."""
    trees = HistGradientBoostingClassifier(max_iter=20, min_samples_leaf=10, random_state=seed)
    return trees.fit(x, returned), {}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    endpoint = Endpoint()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(returning, "_fit", quick_returns)
        patch.setattr(choosing, "CURVE", (0.5,))  # one budget instead of seven
        patch.setattr(stage, "write_report", lambda *_: None)  # a page of what the plan says
        patch.setattr(rewriting, "_OPENER", endpoint)
        patch.setenv("A_TOKEN", "secret")
        yield Shop(tmp_path_factory.mktemp("shop"), endpoint)


@pytest.mark.parametrize("setting", CHANGES)
def test_a_changed_setting_changes_the_plan(shop: Shop, setting: str) -> None:
    beside, value = CHANGES[setting]
    bundle = setting in OF_A_BUNDLE
    before, after = shop.came_to(beside, bundle), shop.came_to(beside | {setting: value}, bundle)
    assert before != after
    assert (isinstance(before, str), isinstance(after, str)) == (setting in NEEDED, False), (before, after)


def test_the_same_settings_plan_the_same(shop: Shop) -> None:
    assert repr(shop.planned(LOG)) == repr(shop.planned(LOG))


def test_the_name_is_that_of_the_plan(shop: Shop) -> None:
    assert (shop.planned({})["name"], shop.planned({"name": "spring"})["name"]) == ("campaign", "spring")


def test_the_worth_of_an_outcome_goes_before_the_values_of_a_log(shop: Shop) -> None:
    worth, valued = {"value_of_outcome": 5.0}, LOG | {"log": ["valued.csv"]}
    expected = [shop.planned(given)["expected"] for given in (LOG | worth, valued | worth, valued)]
    assert expected[0] == expected[1] != expected[2]


def test_the_probability_to_return_is_learnt_from_so_many_users(shop: Shop, tmp_path: Path) -> None:
    tables(tmp_path, 2200)
    everybody = of_tables(str(tmp_path / "interactions.parquet"), str(tmp_path / "users.csv"))
    given = (CampaignSettings(), CampaignSettings(), CampaignSettings(most_learnt_from=1000))
    one, same, fewer = (states_at(everybody, AT * 1_000_000, settings, 0)[0] for settings in given)
    assert one.equals(same) and not one.equals(fewer)
