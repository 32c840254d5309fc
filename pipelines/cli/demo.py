"""`longtail demo`: the whole way on a generated shop, told to a newcomer."""

import logging
from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from longtail.contracts.artifacts import results_of
from longtail.contracts.attributes import is_missing
from longtail.contracts.decision import load_decision
from longtail.contracts.errors import about
from longtail.pipelines.cli.demo_campaign import campaign_asked, show_campaign, write_consent
from longtail.pipelines.cli.options import read_settings
from longtail.pipelines.cli.results import read_evaluation, table
from longtail.pipelines.local.run import RunInputs, run_local
from longtail.pipelines.local.run_folder import check_results
from longtail.system.preflight import check_machine, set_threads

if TYPE_CHECKING:
    from longtail.contracts.prepared import PreparedDataset

INTEREST = "growing vegetables and pruning roses"
MODEL = "longtail"
K = 5


def run_demo(out: Path, overrides: Sequence[str] | None = None, seed: int | None = None) -> bool:
    """Write the demo shop, run the pipeline on it, ask the real server for three users and show a campaign; whether the gate passed."""
    consent = out / "data" / "consent.csv"
    with as_file(files(__package__) / "demo.yaml") as path:
        settings = read_settings(path, [*campaign_asked(consent), *(overrides or ())], seed=seed)
    with about("--out"):
        check_results(out)
    check_machine(out, disk_gb=1.0, memory_gb=1.5)
    set_threads()
    data = _write_shop(out / "data")
    write_consent(Path(data["users"]), consent)
    typer.echo("The pipeline, stage by stage (a rerun reuses what has not changed):\n")
    run_local(RunInputs(data["interactions"], data["items"], data["users"], settings, out))

    from longtail.components.evaluate.summary import segment_table
    from longtail.contracts.prepared import PreparedDataset

    typer.echo(f"\n{segment_table(read_evaluation(out))}\n\nReport: {(results_of(out) / 'report.html').absolute()}")
    prepared = PreparedDataset(results_of(out) / "prepared")
    tail, cold = _tail_user(prepared), _cold_user(prepared)
    _ask_server(out, prepared, tail, cold)
    show_campaign(out, prepared)
    nexts = (
        (f'longtail recommend --run {out} --interests "a gift for a coffee lover"', "any new user, without a server"),
        (f"longtail serve --bundle {out / 'bundle'}", "the same server, until you stop it"),
        ("longtail run --interactions YOURS --items YOURS --out runs/mine", "your own data"),
    )
    width = max(len(words) for words, _ in nexts)
    typer.echo("\nNext:\n" + "\n".join(f"  {words:<{width}}  # {what}" for words, what in nexts))
    return load_decision(results_of(out)).passed


def _write_shop(folder: Path) -> dict[str, str]:
    from longtail.synthetic.shop import generate_shop, write_shop

    shop = generate_shop()
    write_shop(shop, folder)
    typer.echo(
        f"A demo shop of one year: {shop.users.num_rows:,} users, {shop.items.num_rows:,} items, "
        f"{shop.interactions.num_rows:,} interactions, written to {folder}\n"
    )
    return {name: str(folder / f"{name}.parquet") for name in ("interactions", "items", "users")}


def _tail_user(prepared: "PreparedDataset") -> int:
    """Code of the first user with exactly three events."""
    import numpy as np

    counts = np.bincount(prepared.user_codes, minlength=len(prepared.user_ids))  # [users]
    return int(np.flatnonzero(counts == 3)[0])


def _cold_user(prepared: "PreparedDataset") -> int:
    """Code of the first user without any event whose attributes are all known."""
    import numpy as np

    counts = np.bincount(prepared.user_codes, minlength=len(prepared.user_ids))
    known = [sum(not is_missing(attribute) for attribute in row) for row in prepared.user_attributes]
    most = max(known)
    return next(int(user) for user in np.flatnonzero(counts == 0) if known[user] == most)


def _usual_price(prepared: "PreparedDataset") -> float:
    """The median price, in whole."""
    import numpy as np

    place = prepared.facts["numeric_names"].index("price")
    return float(np.ceil(np.nanmedian(np.array([row[place] for row in prepared.numbers], dtype=np.float64))))


def _ask_server(out: Path, prepared: "PreparedDataset", tail: int, cold: int) -> None:
    from longtail.components.deploy.local_server import running_server
    from longtail.components.predict.client import ask

    history = prepared.whole_history(tail)
    titles = "; ".join(prepared.titles[item] or prepared.item_ids[item] for item in history)
    known = prepared.user_attributes[cold]
    logging.getLogger("longtail.components.deploy").setLevel(logging.WARNING)
    typer.echo("\nStarting the KServe model server on the student's bundle …")
    with running_server(results_of(out) / "bundle", MODEL, 120, out / "server.log") as server:
        typer.echo(f"It answers on {server.url}/v1/models/{MODEL}:predict\n")

        def show(title: str, instance: dict[str, Any]) -> None:
            (prediction,) = ask(server.url, MODEL, [{**instance, "k": K}])
            typer.echo(f"{title}\n{table(prediction['items'])}\n")

        show(
            f"{prepared.user_ids[tail]}, a user with 3 interactions: {titles}",
            {"history": [prepared.item_ids[item] for item in history], "attributes": prepared.user_attributes[tail]},
        )
        show(f"{prepared.user_ids[cold]}, a user with no history: {', '.join(known)}", {"attributes": known})
        show(f'A visitor of whom nothing is known, and who says: "{INTEREST}"', {"interests": INTEREST})
        (last,) = history[-1:]
        of, title = prepared.item_ids[last], prepared.titles[last]
        kind, most = prepared.item_attributes[last][0], _usual_price(prepared)
        show(f"A product page: items like {title}", {"similar_to": [of]})
        limits = {
            "filters": {"all": [kind], "ranges": {"price": {"max": most}}},
            "exclude": [of],
            "max_per": {"brand": 1},
        }
        show(
            f"A shelf for the first user: {kind} up to {most:g}, not {title}, one of each brand",
            {"history": [prepared.item_ids[item] for item in history[:-1]], **limits},
        )
    typer.echo("The server is stopped.")
