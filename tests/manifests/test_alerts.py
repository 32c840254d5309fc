"""The alerts of the production overlay: of metrics that the server has, and firing when they should (by promtool)."""

import re
import shutil
import subprocess

import pytest
import yaml
from helpers_manifests import MANIFESTS, one, render
from kserve import metrics as kserve_metrics
from prometheus_client.metrics import MetricWrapperBase

from longtail.components.predict import monitoring

SERIES = """
      - series: 'longtail_requests_total{namespace="longtail", model_name="shop", outcome="served"}'
        values: '0+97x120'
      - series: 'longtail_requests_total{namespace="longtail", model_name="shop", outcome="failed"}'
        values: '0+FAILEDx120'
      - series: 'longtail_answers_total{namespace="longtail", model_name="shop", segment="cold", degraded="no"}'
        values: '0+ASKEDx120'
      - series: 'longtail_answers_total{namespace="longtail", model_name="shop", segment="tail", degraded="yes"}'
        values: '0+DEGRADEDx120'
      - series: 'longtail_data_until_timestamp_seconds{namespace="longtail", model_name="shop"}'
        values: 'UNTIL+0x120'
      - series: 'longtail_file_taken{namespace="longtail", model_name="shop", file="availability"}'
        values: '1+0x120'
      - series: 'longtail_file_taken{namespace="longtail", model_name="shop", file="rules"}'
        values: 'TAKEN+0x120'
      - series: 'longtail_bundle_taken{namespace="longtail", model_name="shop"}'
        values: 'BUNDLE+0x120'
      - series: 'request_predict_seconds_bucket{namespace="longtail", model_name="shop", le="0.1"}'
        values: '0+QUICKx120'
      - series: 'request_predict_seconds_bucket{namespace="longtail", model_name="shop", le="0.5"}'
        values: '0+100x120'
      - series: 'request_predict_seconds_bucket{namespace="longtail", model_name="shop", le="+Inf"}'
        values: '0+100x120'
"""
HEALTHY = {"FAILED": "0", "DEGRADED": "1", "ASKED": "99", "UNTIL": "0", "TAKEN": "1", "BUNDLE": "1", "QUICK": "100"}
ALERTS = (
    "LongtailAbsent",
    "LongtailErrors",
    "LongtailSlow",
    "LongtailDegraded",
    "LongtailFileNotTaken",
    "LongtailBundleNotTaken",
    "LongtailStale",
)


@pytest.fixture(scope="module")
def rules():
    return one(render(MANIFESTS / "overlays/production"), "PrometheusRule", "longtail")["spec"]


def exported():
    """Names of the samples that the server's metrics are made of."""
    names = set()
    for module in (monitoring, kserve_metrics):
        for metric in vars(module).values():
            if isinstance(metric, MetricWrapperBase):
                suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}
                names |= {metric.describe()[0].name + suffix for suffix in suffixes[metric._type]}
    return names


def test_the_alerts_are_about_metrics_that_the_server_has(rules):
    alerts = rules["groups"][0]["rules"]
    assert tuple(alert["alert"] for alert in alerts) == ALERTS
    used = {name for alert in alerts for name in re.findall(r"\b(?:longtail|request)_[a-z_]+(?=\{)", alert["expr"])}
    assert len(used) == 6
    assert used <= exported()


def test_the_service_is_asked_where_it_answers():
    documents = render(MANIFESTS / "overlays/production")
    (endpoint,) = one(documents, "PodMonitor", "longtail")["spec"]["podMetricsEndpoints"]
    (container,) = one(documents, "ServingRuntime", "longtail")["spec"]["containers"]
    assert endpoint["portNumber"] == container["ports"][0]["containerPort"]


@pytest.fixture
def firing(rules, tmp_path):
    """Runs promtool's test of rules: the alerts that must fire after ``minutes``, and no others."""
    if not shutil.which("promtool"):
        pytest.skip("promtool is not installed (it is part of Prometheus)")

    def check(minutes, series, expected):
        tests = "".join(
            f"\n      - eval_time: {minutes}m\n        alertname: {alert}\n        exp_alerts: {expected.get(alert, [])}"
            for alert in ALERTS
        )
        (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rules))
        (tmp_path / "test.yaml").write_text(
            f"rule_files: [rules.yaml]\nevaluation_interval: 1m\ntests:\n  - interval: 1m\n    input_series:{series or ' []'}\n"
            f"    alert_rule_test:{tests}\n"
        )
        command = ["promtool", "test", "rules", "test.yaml"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr

    return check


def labelled(alert, rules, value, model="shop", **more):
    (rule,) = [rule for rule in rules["groups"][0]["rules"] if rule["alert"] == alert]
    own = {"model_name": model, **more} if model else {"namespace": "longtail"}
    labels = rule["labels"] | own
    annotations = {
        key: re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda found: own[found[1]], said)
        for key, text in rule["annotations"].items()
        for said in [re.sub(r"\{\{ \$value[^}]*\}\}", value, text)]
    }
    return {alert: [{"exp_labels": labels, "exp_annotations": annotations}]}


def series(**changed):
    text = SERIES
    for key, value in (HEALTHY | changed).items():
        text = text.replace(key, value)
    return text


def test_a_healthy_service_is_quiet(firing):
    firing(119, series(), {})


@pytest.mark.parametrize(
    ("changed", "alert", "value"),
    [
        ({"FAILED": "3"}, "LongtailErrors", "3%"),
        ({"DEGRADED": "20", "ASKED": "80"}, "LongtailDegraded", "20%"),
        ({"BUNDLE": "0"}, "LongtailBundleNotTaken", ""),
        ({"QUICK": "50"}, "LongtailSlow", "492ms"),  # the 99th of 100 lies 49/50 of the way from 0.1 s to 0.5 s
        ({"UNTIL": "-1209600"}, "LongtailStale", "14d 1h 59m 0s"),
    ],
)
def test_each_fault_raises_its_alert_and_no_other(firing, rules, changed, alert, value):
    firing(119, series(**changed), labelled(alert, rules, value))


def test_a_file_that_cannot_be_taken_is_named(firing, rules):
    firing(119, series(TAKEN="0"), labelled("LongtailFileNotTaken", rules, "", file="rules"))


def test_a_service_that_does_not_report_is_absent(firing, rules):
    firing(10, "", labelled("LongtailAbsent", rules, "", model=None))


def test_a_single_failure_wakes_nobody(firing):
    firing(3, series(FAILED="3"), {})
