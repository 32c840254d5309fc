"""`longtail serve`; `status`, `promote` and `rollback` against an API server, with a registry in a folder."""

import sys
from types import SimpleNamespace

import pytest
from helpers_command import is_one_message, refused
from helpers_decision import NOBODY, publish_decided, publish_rivals
from helpers_hand_bundle import GOLDEN, write_hand_bundle
from helpers_kubernetes import FakeCluster

from longtail.components.deploy.local_server import running_server
from longtail.pipelines.cli import main as cli
from longtail.registry.opening import open_registry
from longtail.rollout import placing
from longtail.rollout.kubernetes_api import connect
from longtail.rollout.roll_out import roll_out
from longtail.rollout.service_settings import ServiceSettings

SETTINGS = ServiceSettings(name="shop", step_seconds=0, step_requests=2, drain_seconds=0, max_p95_ms=1e6)


@pytest.fixture(scope="module")
def model_server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    with running_server(write_hand_bundle(folder / "bundle"), "shop", 120, folder / "log") as server:
        yield server.url


@pytest.fixture
def shop(tmp_path, model_server, monkeypatch):
    """Registry, versions a and b, and a function that runs the command; a serves and is the champion. Gateways forget at once."""
    monkeypatch.setattr(placing, "time", SimpleNamespace(sleep=lambda _: None))
    cluster = FakeCluster(model_server)
    registry = open_registry(str(tmp_path / "registry"))
    other = write_hand_bundle(tmp_path / "b", titles=("Red lamp", "Blue lamp", None, "Stool"))
    a, b = publish_rivals(registry, write_hand_bundle(tmp_path / "a"), other)
    kubeconfig = str(cluster.kubeconfig(tmp_path))
    monkeypatch.setenv("KUBECONFIG", kubeconfig)

    class Shop:
        def deploy(self, version, override=None, **settings):
            chosen = SETTINGS.model_copy(update=settings)
            roll_out(connect("longtail"), registry, version, GOLDEN, chosen, override)

        def third(self, passed, compared):
            third = write_hand_bundle(tmp_path / "c", titles=("Lamp", "Lamp", None, "Lamp"))
            return publish_decided(registry, third, passed, compared)

        def run(self, command, *options):
            with pytest.raises(SystemExit) as ended:
                cli.main([command, "--name", "shop", "--registry", registry.uri, *options])
            assert ended.value.code == 0

        def serves(self):
            return cluster.service["spec"]["predictor"]["model"]["storageUri"], registry.champion()

    made = Shop()
    made.a, made.b, made.cluster, made.registry = a, b, cluster, registry
    made.deploy(a)
    yield made
    cluster.stop()


def test_status_says_what_is_served_and_how_it_came_to_be(shop, capfd):
    shop.deploy(shop.b, promote=False)
    shop.run("status")
    shown = capfd.readouterr().out
    assert "InferenceService longtail/shop: ready, mode Standard" in shown
    assert f"{shop.b.id} {shop.b.uri} with 50 % of the traffic, as a canary" in shown
    assert f"{shop.a.id} {shop.a.uri} with 50 %" in shown
    assert f"champion {shop.a.id}" in shown
    assert f"{shop.a.id} after none: deployed to longtail/shop: first" in shown


def test_status_says_what_is_wrong(shop, capfd):
    shop.cluster.controller.broken[shop.b.uri] = "image"
    shop.cluster.service["spec"]["predictor"] = shop.cluster.service["spec"]["predictor"] | {
        "model": {"storageUri": shop.b.uri},
        "labels": {"longtail/revision": "x"},
    }
    shop.cluster.controller.reconcile(shop.cluster.service)
    shop.run("status")
    assert "fault    pod shop-predictor-x, container kserve-container: ImagePullBackOff" in capfd.readouterr().out


def test_promote_finishes_a_canary(shop, capfd):
    shop.deploy(shop.b, promote=False)
    shop.run("promote")
    assert shop.serves() == (shop.b.uri, shop.b)
    assert "canary" not in shop.cluster.service["spec"]
    assert f"Version {shop.b.id} is the champion" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("passed", "compared", "why"),
    [
        (False, "a", "the gate did not pass for version"),
        (True, None, "compared with none"),
        (True, NOBODY, f"with {NOBODY}"),
    ],
    ids=["failed", "no champion", "another champion"],
)
def test_promote_takes_what_its_decision_does_not_pass_with_a_reason_only(shop, capfd, passed, compared, why):
    third = shop.third(passed, shop.a.id if compared == "a" else compared)
    shop.deploy(third, override="to look at", promote=False)
    code, error = refused(capfd, "promote", "--name", "shop", "--registry", shop.registry.uri)
    assert code == 2
    assert is_one_message(error, why)
    assert "or give --override" in error
    assert shop.registry.champion() == shop.a
    shop.run("promote", "--override", "the numbers of the shop")
    assert shop.serves() == (third.uri, third)
    shop.run("status")
    assert "promoted by hand: longtail/shop (override: the numbers of the shop)" in capfd.readouterr().out
    shop.run("rollback")  # needs no reason: that bundle was the champion
    assert shop.serves() == (shop.a.uri, shop.a)


def test_a_reason_says_something(capfd):
    code, error = refused(capfd, "promote", "--registry", "models", "--override", " ")
    assert code == 2
    assert is_one_message(error, "--override: says no reason")


def test_rollback_to_what_was_never_the_champion_is_refused(shop, capfd):
    code, error = refused(capfd, "rollback", "--name", "shop", "--registry", shop.registry.uri, "--to", shop.b.id)
    assert code == 2
    assert is_one_message(error, f"--to {shop.b.id}: was never the champion")
    assert shop.serves() == (shop.a.uri, shop.a)


def test_rollback_takes_a_canary_away(shop, capfd):
    shop.deploy(shop.b, promote=False)
    shop.run("rollback")
    assert shop.serves() == (shop.a.uri, shop.a)
    assert "canary" not in shop.cluster.service["spec"]
    assert f"{shop.a.id} serves all of the traffic as before" in capfd.readouterr().out
    assert len(shop.registry.promotions()) == 1


def test_rollback_serves_the_champion_before(shop, capfd):
    shop.deploy(shop.b)
    assert shop.serves() == (shop.b.uri, shop.b)
    shop.run("rollback")
    assert shop.serves() == (shop.a.uri, shop.a)
    assert f"rolled back to version {shop.a.id}" in capfd.readouterr().out
    code, error = refused(capfd, "rollback", "--name", "shop", "--registry", shop.registry.uri)
    assert code == 2
    assert is_one_message(error, "no champion before the present one; name a version by --to")
    shop.run("rollback", "--to", shop.b.id)
    assert shop.serves() == (shop.b.uri, shop.b)


def test_what_does_not_exist_is_said_in_one_line(shop, capfd):
    code, error = refused(capfd, "promote", "--name", "other", "--registry", shop.registry.uri)
    assert code == 2
    assert is_one_message(error, "InferenceService longtail/other: does not exist; check --name and --namespace")
    code, error = refused(capfd, "status", "--name", "Shop")
    assert code == 2
    assert is_one_message(error, "name")


def test_serve_hands_over_to_the_model_server(tmp_path, monkeypatch):
    import os

    called = []
    monkeypatch.setattr(os, "execv", lambda program, words: called.append((program, words)))
    with pytest.raises(SystemExit):
        cli.main(["serve", "--bundle", str(tmp_path), "--http-port", "9000"])
    files = [
        "--availability",
        "s3://shop/stock.yaml",
        "--rules",
        "rules.yaml",
        "--tokens",
        "t.yaml",
        "--log-key",
        "key",
    ]
    with pytest.raises(SystemExit):
        cli.main(["serve", "--bundle", str(tmp_path), *files])
    (program, words), (_, with_files) = called
    assert with_files[-8:] == files
    assert program == sys.executable
    assert words[1:4] == ["-P", "-m", "longtail.components.predict.server"]
    options = dict(zip(words[4::2], words[5::2]))
    assert options == {
        "--bundle": str(tmp_path),
        "--name": "longtail",
        "--http-port": "9000",
        "--grpc-port": "0",
        "--max-k": "100",
        "--max-body": "8388608",
    }


def test_token_shows_a_new_token_once_and_an_entry_that_the_server_takes(capfd):
    from longtail.components.predict.access import Access

    shown = []
    for _ in range(2):
        with pytest.raises(SystemExit) as ended:
            cli.main(["token", "the shop's page", "--scope", "operate", "--per-second", "2.5"])
        assert not ended.value.code
        shown.append(capfd.readouterr().out)
    first, _, entry = shown[0].partition("\n")
    token = first.rpartition(" ")[2]
    access = Access()
    access.take("tokens:\n" + entry.partition("\n")[2], "file")
    assert access.refusal(f"Bearer {token}", "operate") is None
    assert access.refusal(f"Bearer {token}", "ask").status == 403
    assert len(token) == 43 and token not in entry and token not in shown[1]


def test_token_refuses_what_the_server_would(capfd):
    code, error = refused(capfd, "token", "shop", "--per-second", "0")
    assert code == 2
    assert is_one_message(error, "per_second: Input should be greater than 0")
