"""`longtail campaign simulate`: what each way of targeting brings in a shop whose users' true responses are known."""

from pathlib import Path
from typing import Annotated

import typer

from longtail.contracts.errors import about
from longtail.contracts.folders import check_new_file


def simulate(
    shops: Annotated[int, typer.Option(min=2, help="Generated shops; the intervals are over them.")] = 10,
    users: Annotated[int, typer.Option(min=200, help="Users of each shop.")] = 3000,
    rounds: Annotated[int, typer.Option(min=2, help="Campaigns in a row; uplift's first one is random.")] = 6,
    messages: Annotated[
        float, typer.Option(min=0.01, max=0.5, help="Messages of each campaign, as a share of the users.")
    ] = 0.2,
    heterogeneity: Annotated[
        float,
        typer.Option(min=0.0, max=1.0, help="0: a contact has the same effect on everybody; 1: it differs widely."),
    ] = 1.0,
    mean_effect: Annotated[
        float, typer.Option(min=0.0, max=0.15, help="What a contact adds on average to the probability to come back.")
    ] = 0.05,
    seed: Annotated[int, typer.Option(min=0, help="Of the first shop; the others follow.")] = 0,
    output: Annotated[
        Path | None, typer.Option(help="CSV file for one row a shop and targeting.", show_default=False)
    ] = None,
) -> None:
    """Say what targeting brings, in generated shops whose users' true responses are known.

    Several campaigns in a row by random, popularity, RFM rules, propensity and uplift, each with the same number of messages. The
    users are invented: the figures show what the code does under such responses, not what your users do.
    """
    from longtail.system.preflight import set_threads

    if output is not None:
        with about("--output"):
            check_new_file(output)
    set_threads()
    from longtail.components.campaign.simulate import Simulation
    from longtail.components.campaign.simulate import simulate as run_simulation
    from longtail.components.campaign.simulated import table

    simulation = Simulation(
        users=users, rounds=rounds, messages=messages, heterogeneity=heterogeneity, mean_effect=mean_effect
    )
    rows = run_simulation(simulation, range(seed, seed + shops))
    if output is not None:
        rows.to_csv(output, index=False)
    typer.echo(
        f"{rounds} campaigns in a row in {shops} generated shops of {users:,} users, {messages:.0%} of them contacted in each; "
        f"heterogeneity {heterogeneity:g}.\nPer 1,000 messages, 95 % intervals over the shops; activated: who came back because "
        f"of them.\n\n{table(rows)}"
    )
