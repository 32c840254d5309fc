"""The demo's last screen: whom it would contact with what, who is held out, and what targeting is worth in a simulation."""

import json
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING

import typer

from longtail.contracts.artifacts import results_of
from longtail.pipelines.cli.campaigning import plan_told
from longtail.pipelines.local.run_folder import CAMPAIGN_FOLDER

if TYPE_CHECKING:
    from longtail.contracts.prepared import PreparedDataset

SHOPS, USERS, ROUNDS = 4, 2000, 4  # of the simulation
COMPARED = ("random", "uplift")
WIDTH = 150  # of a line


def campaign_asked(consent: Path) -> list[str]:
    """Settings of the demo's campaign, as of --set."""
    return [
        "campaign.offers=[{name: greeting, channel: mail, cost: 0.05}]",
        "campaign.budget=20",
        "campaign.hold_out.least_effect=0.1",
        f"campaign.consent={json.dumps(str(consent))}",
    ]


def write_consent(users: Path, file: Path) -> None:
    """Let every user of the demo shop agree to be written to by mail, as a real shop would have to ask them."""
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet as pq

    ids = pq.read_table(users, columns=["user_id"]).column("user_id")
    pyarrow.csv.write_csv(pa.table({"user_id": ids, "channel": ["mail"] * len(ids)}), file)


def show_campaign(out: Path, prepared: "PreparedDataset") -> None:
    """Print the campaign of a run's results, and a small simulation. Nothing where the gate let no campaign be made."""
    folder = results_of(out) / CAMPAIGN_FOLDER
    if not folder.is_dir():
        typer.echo("\nNo campaign is planned: the gate did not pass.")
        return
    facts = json.loads((folder / "plan.json").read_text())
    typer.echo(f"\nA campaign, as `longtail campaign plan` makes it:\n{plan_told(folder, facts)}\n")
    typer.echo(f"Five of those whom it would contact:\n{_examples(folder, prepared)}\n")
    typer.echo(f"What they are sent: {folder / 'contacts.csv'}\nReport: {(folder / 'report.html').absolute()}\n")
    typer.echo(
        f"Is choosing worth it? {ROUNDS} campaigns in a row in {SHOPS} generated shops whose users' true responses are known;\n"
        f"per 1,000 messages, 95 % intervals over the shops:\n{_simulated()}\n"
        f"Every way of choosing: longtail campaign simulate --shops {SHOPS} --users {USERS} --rounds {ROUNDS}"
    )


def _examples(folder: Path, prepared: "PreparedDataset") -> str:
    import pandas as pd

    from longtail.components.campaign.report import examples

    titles = dict(zip(prepared.item_ids, prepared.titles))
    lines = []
    for row in examples(pd.read_parquet(folder / "campaign.parquet")):
        names = "; ".join(titles[item] or item for item in row["items"])
        kind = f"{row['segment']}, {row['state'].replace('_', ' ')}"
        lines.append(shorten(f"{row['user_id']} ({kind}): {names}", WIDTH, placeholder=" …"))
        lines.append(shorten(f"why the first: {row['reasons'][0]}", WIDTH, placeholder=" …"))
    return "\n".join(f"  {line}" if place % 2 == 0 else f"      {line}" for place, line in enumerate(lines))


def _simulated() -> str:
    from longtail.components.campaign.simulate import Simulation, simulate
    from longtail.components.campaign.simulated import table

    return table(simulate(Simulation(users=USERS, rounds=ROUNDS), range(SHOPS), targetings=COMPARED))
