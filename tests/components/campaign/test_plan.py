"""A campaign planned from tables and lists, and measured: what is written, and what is refused."""

import csv
import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from helpers_campaign import DAY, lists, settings, tables

from longtail.components.campaign.lists import WrittenLists
from longtail.components.campaign.measure import measure
from longtail.components.campaign.plan import plan
from longtail.components.campaign.settings import CampaignSettings
from longtail.components.campaign.tables import of_tables
from longtail.components.campaign.writing import safe_cell
from longtail.contracts.errors import UserError
from longtail.contracts.settings_base import parse

pytestmark = pytest.mark.slow  # they plan whole campaigns


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop")
    ids = tables(folder)
    lists(folder / "lists", ids)
    pd.DataFrame({"user_id": ids[:50]}).to_csv(folder / "stop.csv", index=False)
    return folder, ids, of_tables(str(folder / "interactions.parquet"), str(folder / "users.csv"))


def planned(shop, output, seed=0, everybody=None, **changes):
    folder, _, crowd = shop
    given = settings(consent=str(folder / "consent.csv"), **changes)
    wanted = parse(CampaignSettings, given, "test")
    return plan(everybody or crowd, WrittenLists(folder / "lists"), output, wanted, seed)


@pytest.fixture(scope="module")
def spring(shop, tmp_path_factory):
    output = tmp_path_factory.mktemp("spring") / "campaign"
    facts = planned(shop, output, do_not_contact=str(shop[0] / "stop.csv"), quiet={"column": "zone"})
    return output, facts, pq.read_table(output / "campaign.parquet").to_pandas()


def test_every_user_has_one_row_and_limits_are_kept(shop, spring):
    _, facts, table = spring
    contact = table[table["arm"] == "contact"]
    assert table["user_id"].tolist() == sorted(shop[1])
    assert facts["spent"] == pytest.approx(contact["cost"].sum()) and facts["spent"] <= 100
    assert (contact["action"] == "push").sum() <= 300
    assert facts["arms"] == table["arm"].value_counts().to_dict()


def test_who_may_not_be_contacted_is_left_with_the_reason(shop, spring):
    table = spring[2].set_index("user_id")
    assert (table.loc[shop[1][:50], "why"] == "on the do-not-contact list").all()
    assert (table.loc[shop[1][1900:], "why"] == "no consent to any channel of an offer").all()
    assert (table.loc[shop[1][1800:1900], "why"] == "nothing is known of what a contact would bring").all()
    assert (table.loc[table["why"] != "", "arm"] == "left").all()


def test_the_hold_out_is_drawn_within_segment_state_and_offer(spring):
    _, facts, table = spring
    drawn = table[table["arm"] != "left"]
    share = facts["hold_out"]["share"]
    for _, rows in drawn.groupby("stratum"):
        assert abs((rows["arm"] == "hold-out").sum() - share * len(rows)) < 1
    assert (drawn["stratum"] == drawn["segment"] + " / " + drawn["state"] + " / " + drawn["action"]).all()
    assert drawn["propensity"].to_numpy() == pytest.approx(np.where(drawn["arm"] == "contact", 1 - share, share))
    assert facts["hold_out"]["power"] >= 0.795


def test_contacts_have_items_reasons_messages_and_times(shop, spring):
    output, _, table = spring
    contact = table[table["arm"] == "contact"]
    rows = list(csv.DictReader((output / "contacts.csv").open()))
    assert [row["user_id"] for row in rows] == contact["user_id"].tolist()
    first = contact.iloc[0]
    assert len(first["items"]) == 3 and first["items"][0][1:] in first["message"]
    zones = shop[2].users.set_index("user_id")["zone"].fillna("")  # the last event is of 22:08 UTC
    times = {zone: {row["send_at"][10:13] for row in rows if zones[row["user_id"]] == zone} for zone in set(zones)}
    assert times == {"Europe/Berlin": {"T07"}, "America/New_York": {"T22"}, "": {"T08"}}
    assert (table.loc[table["arm"] != "contact", "message"] == "").all()


def test_the_effect_is_said_to_be_unknown_without_a_log(spring):
    _, facts, table = spring
    assert table["expected"].isna().all()
    assert facts["expected"] is None and "unknown" in facts["about_effect"][0]


def test_the_same_inputs_give_the_same_plan_and_another_seed_another_hold_out(shop, spring, tmp_path):
    again = planned(shop, tmp_path / "again", do_not_contact=str(shop[0] / "stop.csv"), quiet={"column": "zone"})
    assert again == spring[1]
    assert (tmp_path / "again" / "contacts.csv").read_bytes() == (spring[0] / "contacts.csv").read_bytes()
    planned(shop, tmp_path / "other", seed=1)
    assert (tmp_path / "other" / "contacts.csv").read_bytes() != (spring[0] / "contacts.csv").read_bytes()


def test_pseudonyms_stand_in_every_file_and_the_key_in_none(shop, tmp_path):
    key = tmp_path / "key"
    key.write_text("a-secret-of-32-characters-or-more")
    offers = [{"name": "news", "channel": "mail", "cost": 0.1, "template": "Hi $user: $title"}]
    planned(shop, tmp_path / "out", pseudonyms_key=str(key), offers=offers)
    for file in (tmp_path / "out").iterdir():
        content = file.read_bytes()
        assert b"a-secret" not in content and b"u00001" not in content, file


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"budget": 0.01}, "below the cost of one contact"),
        ({"offers": []}, "offers: there are none"),
        ({"consent": None}, "consent: is missing"),
        ({"cap": {"contacts": 1}}, "cap: needs a log of contacts"),
        ({"offers": [{"name": "a", "channel": "pigeon", "cost": 1}]}, "nobody may get it by 'pigeon'"),
        ({"offers": [{"name": "a", "channel": "mail", "cost": 1, "capacity": 0}]}, "its capacity is 0"),
        ({"offers": [{"name": "a", "channel": "mail", "cost": 1, "template": "$x"}]}, "does not know \\$x"),
        ({"hold_out": {"least_effect": 0.001}}, "too small for its proof"),
        ({"quiet": {"column": "planet"}}, "has no column 'planet'"),
        ({"quiet": {"column": "band"}}, "is no time zone"),
        ({"channels": {"fax": 3}}, "no offer comes by 'fax'"),
        ({"pseudonyms_key": "no-such-file"}, "no-such-file: cannot be read"),
        ({"surprise": 1}, "there is no setting 'surprise'"),
        ({"uplift": {"learner": "t"}}, "uplift: acts where effects are learnt, and no log is given"),
        ({"hold_out": {"baseline": 0.2, "deviation": 3.0}}, "hold_out.baseline: does nothing where"),
        ({"quiet": {"begin": "21:00"}}, "no setting 'quiet.begin'; known here: column, end, start, time_zone"),
        ({"offers": [{"chanel": "mail"}]}, "no setting 'offers.0.chanel'; known here: all, .*channel"),
    ],
)
def test_one_clear_message_and_nothing_written(shop, tmp_path, changes, said):
    given = settings(consent=str(shop[0] / "consent.csv")) | changes
    with pytest.raises(UserError, match=said):
        plan(shop[2], WrittenLists(shop[0] / "lists"), tmp_path / "out", parse(CampaignSettings, given, "test"), 0)
    assert list(tmp_path.iterdir()) == []


def test_too_small_may_be_said_instead(shop, tmp_path):
    facts = planned(shop, tmp_path / "out", hold_out={"least_effect": 0.001, "too_small": "say"})
    assert facts["hold_out"]["power"] < 0.1 and facts["hold_out"]["share"] == 0.5


def test_unknown_users_of_consent_are_said(shop, tmp_path):
    (tmp_path / "consent.csv").write_text("user_id,channel\nu00001,mail\nstranger,mail\n")
    given = settings(consent=str(tmp_path / "consent.csv"))
    with pytest.raises(UserError, match="known to neither interactions nor users, such as 'stranger'"):
        plan(shop[2], WrittenLists(shop[0] / "lists"), tmp_path / "out", parse(CampaignSettings, given, "test"), 0)


def test_contacts_of_late_count_for_the_cap(shop, tmp_path):
    last = int(shop[2].events["timestamp"].max()) // 1_000_000
    pd.DataFrame({"user_id": shop[1][:400], "time": last - DAY}).to_csv(tmp_path / "sent.csv", index=False)
    planned(shop, tmp_path / "out", cap={"contacts": 1, "days": 2}, contacts=str(tmp_path / "sent.csv"))
    table = pq.read_table(tmp_path / "out" / "campaign.parquet").to_pandas()
    assert (table["why"] == "contacted often enough lately").sum() == 400


def test_formulas_are_no_formulas_in_a_spreadsheet():
    assert [safe_cell(text) for text in ("=1+1", "+a", "-2", "@x", "\tx", "plain", "-2.5", "")] == [
        "'=1+1",
        "'+a",
        "-2",
        "'@x",
        "'\tx",
        "plain",
        "-2.5",
        "",
    ]


# --- measuring


def outcomes(spring, folder, effect=0.3, complete=True, seed=0):
    """Outcomes whose true effect is known, after the contact."""
    _, _, table = spring
    rng = np.random.default_rng(seed)
    drawn = table[table["arm"] != "left"]
    came = rng.random(len(drawn)) < 0.3 + effect * (drawn["arm"] == "contact")
    found = pd.DataFrame(
        {
            "user_id": drawn["user_id"],
            "outcome": came.astype(int),
            "value": came * 20.0,
            "time": drawn["send_at"] + DAY * 1_000_000,
        }
    )
    file = folder / "outcomes.csv"
    (found if complete else found[came].drop(columns="outcome")).to_csv(file, index=False)
    return str(file)


@pytest.mark.parametrize("complete", [True, False])
def test_the_effect_is_found_and_a_log_is_written(spring, tmp_path, complete):
    report = measure(spring[0], outcomes(spring, tmp_path, complete=complete), tmp_path / "out")
    effect = report["effect"]
    assert effect["low"] <= 0.3 <= effect["high"] and report["verdict"] == "more"
    assert report["activated"]["users"] == pytest.approx(effect["effect"] * effect["contacted"])
    assert report["incremental_value"]["value"] == pytest.approx(20 * report["activated"]["users"], rel=0.01)
    assert report["per_activated_user"]["cost"] == pytest.approx(report["spent"] / report["activated"]["users"])
    log = pq.read_table(tmp_path / "out" / "log.parquet").to_pandas()
    assert set(log["treatment"]) == {"none", "news", "push"}
    assert log["propensity"].between(0.01, 0.99).all()
    assert len(list((tmp_path / "out" / "logs").iterdir())) == 2
    assert json.loads((tmp_path / "out" / "measurement.json").read_text()) == report


def test_the_log_feeds_the_next_plan(shop, spring, tmp_path):
    measure(spring[0], outcomes(spring, tmp_path), tmp_path / "m")
    logs = sorted(str(file) for file in (tmp_path / "m" / "logs").iterdir())
    facts = planned(shop, tmp_path / "next", log=logs, uplift={"learner": "none", "samples": 100, "folds": 2})
    table = pq.read_table(tmp_path / "next" / "campaign.parquet").to_pandas()
    contact = table[table["arm"] == "contact"]
    assert facts["expected"] == pytest.approx(contact["expected"].sum())
    assert contact["expected"].between(2, 10).all()  # .3 x 20 less the cost, the same for everybody with `none`
    assert set(facts["effects"]) == {"news", "push"}


def test_a_lost_arm_gives_no_verdict(spring, tmp_path):
    table = pd.read_csv(outcomes(spring, tmp_path))
    held = set(spring[2].loc[spring[2]["arm"] == "hold-out", "user_id"])
    lost = table["user_id"].isin(held) & (np.arange(len(table)) % 3 == 0)
    table[~lost].to_csv(tmp_path / "lost.csv", index=False)
    report = measure(spring[0], str(tmp_path / "lost.csv"), tmp_path / "out")
    assert report["verdict"] is None and "sample ratio" in report["why_no_verdict"]
    assert not (tmp_path / "out" / "log.parquet").exists()


def changed(spring, folder, change):
    table = pd.read_csv(outcomes(spring, folder))
    change(table).to_csv(folder / "bad.csv", index=False)
    return str(folder / "bad.csv")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.assign(user_id=["x", *t["user_id"][1:]]), "none of the campaign's, such as 'x'"),
        (lambda t: t.assign(time=t["time"] - 2 * DAY * 1_000_000), "lies before the contact"),
        (lambda t: pd.concat([t, t[:1]]), "is there twice"),
        (lambda t: t.assign(outcome=np.nan), "outcome is missing"),
        (lambda t: t.drop(columns="user_id"), "has no column user_id"),
    ],
)
def test_outcomes_that_cannot_be_used_are_refused(spring, tmp_path, change, said):
    with pytest.raises(UserError, match=said):
        measure(spring[0], changed(spring, tmp_path, change), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_who_was_contacted_in_truth_is_checked(spring, tmp_path):
    table = spring[2]
    first, held = (table.loc[table["arm"] == arm, "user_id"].iloc[0] for arm in ("contact", "hold-out"))
    for users, said in (
        ([first, first], "contacted twice"),
        ([first, held], "held that user out"),
        (["x"], "not one of"),
    ):
        pd.DataFrame({"user_id": users, "time": 1_800_000_000}).to_csv(tmp_path / "sent.csv", index=False)
        with pytest.raises(UserError, match=said):
            measure(spring[0], outcomes(spring, tmp_path), tmp_path / "out", str(tmp_path / "sent.csv"))
