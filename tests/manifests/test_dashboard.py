"""The dashboard: Grafana can read it, and every series that a panel asks for is one that the real server has."""

import json
import re
import shutil
import subprocess

import pytest
import yaml
from helpers_hand_bundle import write_dated_bundle
from helpers_manifests import MANIFESTS, faults, one, render
from prometheus_client.parser import text_string_to_metric_families

from longtail.components.deploy.local_server import running_server
from longtail.components.predict.client import ask
from longtail.system.http import fetch

BOARD = json.loads((MANIFESTS / "components/dashboard/longtail.json").read_text())
PANELS = BOARD["panels"]
EXPRESSIONS = [target["expr"] for panel in PANELS for target in panel["targets"]]
PROMETHEUS_OWN = {"ALERTS"}  # which alerts fire; written by Prometheus itself
OF_THE_POD = {"namespace", "pod"}  # labels that Prometheus adds


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """sample name -> the names of its labels, of a server that follows a file and has answered."""
    folder = tmp_path_factory.mktemp("watched")
    bundle = write_dated_bundle(folder / "dated", 1735689600, folder / "bundle")
    (folder / "availability.yaml").write_text("hidden: [a]\n")
    options = ["--availability", str(folder / "availability.yaml")]
    with running_server(bundle, "shop", 60, folder / "server.log", options) as server:
        ask(server.url, "shop", [{}])
        text = fetch(f"{server.url}/metrics").decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {sample.name: set(sample.labels) for sample in samples}


def selectors(expression):
    """Names of series with the names of the labels that they are selected by."""
    return [
        (name, set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", labels)))
        for name, labels in re.findall(r"([a-zA-Z_:][\w:]*)\{([^}]*)\}", expression)
    ]


def test_every_series_of_a_panel_is_one_that_the_server_has(told):
    assert len(EXPRESSIONS) > 10
    for expression in EXPRESSIONS:
        asked = [(name, labels) for name, labels in selectors(expression) if name not in PROMETHEUS_OWN]
        assert asked or "ALERTS" in expression, expression
        for name, labels in asked:
            assert name in told, expression
            assert labels <= told[name] | OF_THE_POD, expression


def test_panels_group_by_labels_that_their_series_have(told):
    for expression in EXPRESSIONS:
        labels = {label for name, _ in selectors(expression) for label in told.get(name, {"alertname", "severity"})}
        for names in re.findall(r"\b(?:by|on) \(([^)]*)\)", expression):
            assert set(names.replace(" ", "").split(",")) <= labels | OF_THE_POD, expression


def test_every_own_metric_is_shown(told):
    """A metric that no panel shows is one that nobody looks at."""
    shown = {name for expression in EXPRESSIONS for name, _ in selectors(expression)}
    own = {re.sub(r"_(total|bucket|sum|count|created)$", "", name) for name in told if name.startswith("longtail_")}
    assert own == {re.sub(r"_(total|bucket)$", "", name) for name in shown if name.startswith("longtail_")}


def test_panels_are_whole_and_lie_side_by_side():
    assert BOARD["schemaVersion"] >= 41 and len({panel["id"] for panel in PANELS}) == len(PANELS)
    taken = [
        (x, y)
        for panel in PANELS
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(taken)) == len(taken) and max(x for x, _ in taken) < 24
    for panel in PANELS:
        assert panel["title"] and panel["description"] and panel["targets"]
        assert panel["datasource"]["uid"] == "${datasource}"


def test_variables_that_are_used_are_there():
    defined = {variable["name"] for variable in BOARD["templating"]["list"]}
    text = json.dumps(BOARD)
    assert set(re.findall(r"\$\{?(\w+)", text)) - {"__rate_interval"} == defined


def test_prometheus_reads_every_expression(tmp_path):
    if not shutil.which("promtool"):
        pytest.skip("promtool is not installed (it is part of Prometheus)")
    plain = [text.replace("$__rate_interval", "5m").replace("$", "") for text in EXPRESSIONS]
    rules = [{"record": f"panel:{number}", "expr": text} for number, text in enumerate(plain)]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    done = subprocess.run(["promtool", "check", "rules", "rules.yaml"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(EXPRESSIONS)} rules found" in done.stdout


def test_production_gives_it_to_grafanas_sidecar():
    found = one(render(MANIFESTS / "overlays/production"), "ConfigMap", "longtail-dashboard")
    assert not faults(found)
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert found["metadata"]["namespace"] == "longtail"
    assert json.loads(found["data"]["longtail.json"]) == BOARD
