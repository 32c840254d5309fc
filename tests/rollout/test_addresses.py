"""Ways to a service, from inside the cluster and from outside."""

import dataclasses

import pytest

from longtail.contracts.errors import UserError
from longtail.rollout.addresses import candidate_address, service_address

STANDARD = {
    "metadata": {"name": "shop"},
    "status": {
        "url": "http://shop-longtail.example.com",
        "address": {"url": "http://shop-predictor.longtail.svc.cluster.local"},
    },
}
KNATIVE = {
    "metadata": {"name": "shop"},
    "status": {
        "url": "http://shop.longtail.example.com",
        "address": {"url": "http://shop.longtail.svc.cluster.local"},
        "components": {"predictor": {"address": {"url": "http://shop-predictor.longtail.svc.cluster.local"}}},
    },
}


@pytest.fixture
def asked(monkeypatch):
    """Addresses that a program would ask; the names exist in a cluster alone."""
    addresses = []
    monkeypatch.setattr("longtail.rollout.addresses.call", lambda url, document, *_: addresses.append(url))
    return addresses


@pytest.fixture
def inside(stage):
    return dataclasses.replace(stage.connection, inside=True)


@pytest.mark.parametrize(
    ("address", "service", "mode", "url"),
    [
        (service_address, STANDARD, "Standard", "http://shop-predictor.longtail.svc.cluster.local/v1"),
        (candidate_address, STANDARD, "Standard", "http://shop-candidate-predictor.longtail.svc.cluster.local/v1"),
        (service_address, KNATIVE, "Knative", "http://shop.longtail.svc.cluster.local/v1"),
        (candidate_address, KNATIVE, "Knative", "http://latest-shop-predictor.longtail.svc.cluster.local/v1"),
    ],
)
def test_pods_ask_by_name(inside, asked, address, service, mode, url):
    address(inside, service, mode, None)("/v1", {})
    assert asked == [url]


def test_a_service_without_an_address_is_said(inside):
    with pytest.raises(UserError, match="has no address in its status"):
        service_address(inside, {"metadata": {"name": "shop"}}, "Standard", None)


@pytest.mark.parametrize("address", [service_address, candidate_address])
def test_knative_from_outside_needs_a_gateway(stage, address):
    with pytest.raises(UserError, match=r"name the gateway's address by deploy\.gateway_url"):
        address(stage.connection, KNATIVE, "Knative", None)
