"""Measure a campaign: what its contacts changed, by its hold-out, and the log that the next model learns from."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from longtail.campaign.measuring import SRM_LIMIT, Effect, effect_of, holm, per_activated, sample_ratio
from longtail.components.campaign.tables import CONTACT_TIME, read_table
from longtail.components.campaign.writing import FACTS, PLAN, iso, pseudonyms
from longtail.contracts.artifacts import CAMPAIGN, MEASUREMENT, check_place, finite, read_artifact, write_artifact
from longtail.contracts.campaign import CONTACT, LEFT, NOBODY, LogColumns, PlanColumns
from longtail.contracts.columns import DAY, Columns
from longtail.contracts.errors import UserError

GROUPS = (PlanColumns.SEGMENT, PlanColumns.STATE, PlanColumns.ACTION)
REPORT, TABLE, LOG = "measurement.json", "measurement.parquet", "log.parquet"
VERDICTS = ("more", "no difference shown", "fewer")


def measure(
    campaign: str | Path, outcomes: str, output: str | Path, sent: str | None = None, key_file: str | None = None
) -> dict[str, Any]:
    """Write a Measurement artifact; returns what measurement.json says.

    outcomes: a table user_id, and where it has them outcome (else each row is one), value, time. Where it says an outcome of 0 of some it
    is taken to hold every user, and who is missing is left out; else who is missing did nothing. sent: who was contacted in truth, user_id
    and time. key_file: of the plan's pseudonyms, where the tables hold the ids themselves.

    Raises:
        UserError: naming file, row or user: not a campaign, unknown users, outcomes before the contact, users twice, an arm missing.
    """
    check_place(output, MEASUREMENT)
    artifact = read_artifact(campaign, CAMPAIGN)
    facts = json.loads(artifact.file(FACTS).read_text())
    table = pq.read_table(artifact.file(PLAN)).to_pandas()
    named = pseudonyms(key_file)
    planned = table[table[PlanColumns.ARM] != LEFT].reset_index(drop=True)
    if sent is not None:
        _check_sent(sent, table, named)
    found, said = _outcomes(outcomes, planned, set(table[PlanColumns.USER]), named, facts)
    contacted = (found[PlanColumns.ARM] == CONTACT).to_numpy()
    share = float(facts["hold_out"]["share"])
    p_value = sample_ratio(int(contacted.sum()), int((~contacted).sum()), share)
    report: dict[str, Any] = {
        "campaign": facts["name"],
        "at": facts["at"],
        "horizon_days": facts["settings"]["horizon_days"],
        "spent": facts["spent"],
        "sample_ratio": {
            "contacted": int(contacted.sum()),
            "held_out": int((~contacted).sum()),
            "share": share,
            "p_value": p_value,
        },
        **said,
    }
    if p_value < SRM_LIMIT:
        report["verdict"] = None
        report["why_no_verdict"] = (
            f"the sample ratio is not that of the draw (p = {p_value:.2g}): users of one arm are missing, so what is left is no random "
            "comparison; find out who is missing from the outcomes"
        )
        rows: list[dict[str, Any]] = []
    else:
        rows = _effects(found, contacted)
        report |= _verdict(rows, found, contacted, facts)
    with write_artifact(output, MEASUREMENT, {"campaign": facts["name"], "verdict": report["verdict"]}) as folder:
        (folder / REPORT).write_text(json.dumps(report, indent=1, sort_keys=True, allow_nan=False) + "\n")
        pq.write_table(pa.Table.from_pylist(rows, _SCHEMA), folder / TABLE)
        if rows:
            _write_logs(found, folder)
    return report


_SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("group", "name", "measure")]
    + [(name, pa.float64()) for name in ("effect", "low", "high", "p_value", "p_holm", "without")]
    + [("contacted", pa.int64()), ("held_out", pa.int64())]
)


def _check_sent(sent: str, table: pd.DataFrame, named: Any) -> None:
    contacts = read_table(sent, {Columns.USER: "id", CONTACT_TIME: "time"})
    users = contacts[Columns.USER].map(named)
    arms = table.set_index(PlanColumns.USER)[PlanColumns.ARM]
    if (unknown := ~users.isin(arms.index)).any():
        raise UserError(
            f"{sent}: user {contacts.loc[unknown, Columns.USER].iloc[0]!r} is not one of the campaign; give its own contacts"
        )
    if (twice := users.duplicated()).any():
        raise UserError(
            f"{sent}: user {contacts.loc[twice, Columns.USER].iloc[0]!r} was contacted twice ({int(twice.sum())} rows more than users); the "
            "plan contacts a user once, so its effect cannot be told; take these users out of both tables, or give the contacts of this plan alone"
        )
    if (wrong := users.map(arms) != CONTACT).any():
        raise UserError(
            f"{sent}: user {contacts.loc[wrong, Columns.USER].iloc[0]!r} was contacted, but the plan held that user out or left the user "
            f"alone ({int(wrong.sum())} such users); a hold-out that was contacted proves nothing"
        )


def _outcomes(
    uri: str, planned: pd.DataFrame, everybody: set[str], named: Any, facts: dict[str, Any]
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The planned users with outcome and value, and what was left out."""
    optional = {LogColumns.OUTCOME: "number", LogColumns.VALUE: "number", "time": "time"}
    given = read_table(uri, {Columns.USER: "id"}, optional)  # type: ignore[arg-type]
    for name in (LogColumns.OUTCOME, LogColumns.VALUE):
        if name in given and (bad := ~np.isfinite(given[name].fillna(0 if name == LogColumns.VALUE else np.nan))).any():
            raise UserError(f"{uri}: row {int(np.flatnonzero(bad)[0])}: {name} is missing or not a number; write one")
    users = given[Columns.USER].map(named)
    if (unknown := ~users.isin(everybody)).any():
        hint = "" if set(users[unknown]) == set(given.loc[unknown, Columns.USER]) else " under this key"
        raise UserError(
            f"{uri}: {int(unknown.sum())} rows are of users who are none of the campaign's{hint}, such as "
            f"{given.loc[unknown, Columns.USER].iloc[0]!r}; give outcomes of its users (of a plan with pseudonyms with --pseudonyms-key)"
        )
    given[Columns.USER] = users
    given = given[users.isin(planned[PlanColumns.USER])]
    complete = LogColumns.OUTCOME in given and bool((given[LogColumns.OUTCOME] == 0).any())
    if complete and given[Columns.USER].duplicated().any():
        raise UserError(
            f"{uri}: user {given.loc[given[Columns.USER].duplicated(), Columns.USER].iloc[0]!r} is there twice; give one row a user"
        )
    given, late = _in_time(uri, given, planned, facts)
    grouped = given.assign(**{LogColumns.OUTCOME: given.get(LogColumns.OUTCOME, 1.0)}).groupby(Columns.USER)
    found = planned.set_index(PlanColumns.USER)
    outcome = (
        grouped[LogColumns.OUTCOME].max() if LogColumns.OUTCOME not in given else grouped[LogColumns.OUTCOME].sum()
    )
    found[LogColumns.OUTCOME] = outcome.reindex(found.index).fillna(0.0)
    if LogColumns.VALUE in given:
        found[LogColumns.VALUE] = grouped[LogColumns.VALUE].sum().reindex(found.index).fillna(0.0)
    missing = ~found.index.isin(given[Columns.USER]) if complete else np.zeros(len(found), dtype=bool)
    said = {"outcomes_after_the_horizon": late, "users_without_an_outcome": int(missing.sum())}
    return found[~missing].reset_index(), said


def _in_time(uri: str, given: pd.DataFrame, planned: pd.DataFrame, facts: dict[str, Any]) -> tuple[pd.DataFrame, int]:
    """Without what came after the horizon, and how many rows that was."""
    if "time" not in given:
        return given, 0
    did = given["time"].notna() & (given.get(LogColumns.OUTCOME, pd.Series(1.0, index=given.index)) != 0)
    sent_at = given[Columns.USER].map(planned.set_index(PlanColumns.USER)[PlanColumns.SEND_AT])
    if (early := did & (given["time"] < sent_at)).any():
        row = given.index[early][0]
        raise UserError(
            f"{uri}: row {row}: the outcome of {given.loc[row, Columns.USER]!r} ({iso(int(given.loc[row, 'time']))}) lies before the contact "
            f"({iso(int(sent_at[row]))}), and so do {int(early.sum()) - 1} others; what came before cannot be its effect: give what came after"
        )
    late = did & (given["time"] >= sent_at + round(facts["settings"]["horizon_days"] * DAY))
    if LogColumns.OUTCOME in given:
        given = given.assign(
            **{name: given[name].where(~late, 0.0) for name in (LogColumns.OUTCOME, LogColumns.VALUE) if name in given}
        )
        return given, int(late.sum())
    return given[~late], int(late.sum())


def _effects(found: pd.DataFrame, contacted: np.ndarray) -> list[dict[str, Any]]:
    """Rows of all users and of every group, of outcome and value. Groups with a missing arm have no effect."""
    rows = []
    for measure in (LogColumns.OUTCOME, LogColumns.VALUE):
        if measure not in found:
            continue
        rows.append(_row("all", "all", measure, _effect(found, contacted, measure)))
        for group in GROUPS:
            names = sorted(found[group].unique())
            those = [_maybe(found[found[group] == name], contacted[found[group] == name], measure) for name in names]
            corrected = holm([np.nan if one is None else one.p_value for one in those])
            rows += [
                {**_row(group, name, measure, one), "p_holm": p if np.isfinite(p) else None}
                for name, one, p in zip(names, those, corrected)
            ]
    return rows


def _effect(found: pd.DataFrame, contacted: np.ndarray, measure: str, adjust: bool = True) -> Effect:
    outcome = found[measure].to_numpy(np.float64)
    before = found[PlanColumns.PRE_VALUE].to_numpy(np.float64) if adjust else None
    return effect_of(outcome, contacted, found[PlanColumns.STRATUM].tolist(), before)


def _maybe(found: pd.DataFrame, contacted: np.ndarray, measure: str) -> Effect | None:
    if min(contacted.sum(), (~contacted).sum()) < 2:
        return None
    return _effect(found, contacted, measure)


def _row(group: str, name: str, measure: str, effect: Effect | None) -> dict[str, Any]:
    said = {"group": group, "name": str(name), "measure": measure}
    return said | ({} if effect is None else effect.as_json())


def _verdict(
    rows: list[dict[str, Any]], found: pd.DataFrame, contacted: np.ndarray, facts: dict[str, Any]
) -> dict[str, Any]:
    effect = _effect(found, contacted, LogColumns.OUTCOME)
    plain = _effect(found, contacted, LogColumns.OUTCOME, adjust=False)
    n = effect.contacted
    low, high = effect.low, effect.high
    place = 1 if not np.isfinite(low) or low <= 0 <= high else (0 if low > 0 else 2)
    width, width_plain = high - low, plain.high - plain.low
    saved = 1 - (width / width_plain) ** 2 if np.isfinite(width_plain) and width_plain > 0 else None
    found_value = next((row for row in rows if row["group"] == "all" and row["measure"] == LogColumns.VALUE), None)
    spent = facts["spent"]
    report: dict[str, Any] = {
        "verdict": VERDICTS[place],
        "effect": effect.as_json(),
        "effect_without_adjustment": plain.as_json(),
        "variance_taken_away_by_what_was_known_before": saved,
        "activated": {
            name: finite(float(value * n)) for name, value in (("users", effect.effect), ("low", low), ("high", high))
        },
        "per_activated_user": per_activated(spent, effect),
        "groups": [row for row in rows if row["group"] != "all" and row["measure"] == LogColumns.OUTCOME],
        "correction": "Holm (1979), over the names of each group",
    }
    if found_value is not None and found_value["low"] is not None:
        report["incremental_value"] = {
            "value": found_value["effect"] * n,
            "low": found_value["low"] * n,
            "high": found_value["high"] * n,
            "less_costs": found_value["effect"] * n - spent,
        }
    return report


def _write_logs(found: pd.DataFrame, folder: Path) -> None:
    """``log.parquet`` of all users; of several offers also one log an offer, against those held out who would have got it.

    Which offer a user would get was chosen, not drawn: so offers are random against their own hold-out alone, and each is learnt from its
    own log.
    """
    contact = found[PlanColumns.ARM] == CONTACT
    columns = {
        LogColumns.USER: found[PlanColumns.USER],
        LogColumns.TREATMENT: found[PlanColumns.ACTION].where(contact, NOBODY),
        LogColumns.TIME: found[PlanColumns.SEND_AT].astype(np.int64),
        LogColumns.OUTCOME: found[LogColumns.OUTCOME].astype(np.float64),
        LogColumns.COST: found[PlanColumns.COST],
        LogColumns.PROPENSITY: found[PlanColumns.PROPENSITY],
    }
    if LogColumns.VALUE in found:
        columns[LogColumns.VALUE] = found[LogColumns.VALUE].astype(np.float64)
    log = pd.DataFrame(columns)
    pq.write_table(pa.Table.from_pandas(log, preserve_index=False), folder / LOG)
    offers = sorted(found[PlanColumns.ACTION].unique())
    if len(offers) > 1:
        (folder / "logs").mkdir()
        for number, offer in enumerate(offers, 1):
            slug = re.sub(r"[^A-Za-z0-9_-]+", "-", offer).strip("-")
            own = log[(found[PlanColumns.ACTION] == offer).to_numpy()]
            pq.write_table(
                pa.Table.from_pandas(own, preserve_index=False), folder / "logs" / f"{number}-{slug}.parquet"
            )
