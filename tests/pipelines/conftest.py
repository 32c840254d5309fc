import functools
import inspect

import pytest


@pytest.fixture(autouse=True)
def quick_stacks(monkeypatch):
    """kfp reads the source lines of the whole stack at each setting of a task, which takes seconds below pytest."""
    monkeypatch.setattr(inspect, "stack", functools.partial(inspect.stack, context=0))


@pytest.fixture
def tables(tmp_path):
    """Three users with three events each, and three items."""
    rows = [f"u{user},i{item},{1_700_000_000 + item}" for user in range(3) for item in range(3)]
    (tmp_path / "log.csv").write_text("\n".join(["user_id,item_id,timestamp", *rows]) + "\n")
    (tmp_path / "items.csv").write_text("item_id,title\n" + "".join(f"i{item},Item {item}\n" for item in range(3)))
    return tmp_path


@pytest.fixture
def home(monkeypatch, tmp_path):
    """kfp's client keeps its context below HOME; loopback never goes through a proxy."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("KFP_TOKEN", raising=False)
    monkeypatch.setenv("LONGTAIL_TRAIN_IMAGE", "longtail-train-cpu:0.1.0-c0ffee")


@pytest.fixture
def kfp_api(home):
    from helpers_kfp_api import KfpApi

    api = KfpApi()
    yield api
    api.stop()
