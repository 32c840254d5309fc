import asyncio
import subprocess
import sys

import pytest
from helpers_hand_bundle import write_hand_bundle

from longtail.components.predict.model import RecommendationModel
from longtail.contracts.errors import UserError


@pytest.fixture
def model(tmp_path):
    model = RecommendationModel("shop", write_hand_bundle(tmp_path / "bundle", text=False))
    model.load()
    return model


def test_a_model_is_ready_once_loaded(tmp_path):
    model = RecommendationModel("shop", write_hand_bundle(tmp_path / "bundle"))
    assert not model.ready
    assert model.load()
    assert model.ready


def test_a_tampered_bundle_is_never_ready(tmp_path):
    bundle = write_hand_bundle(tmp_path / "bundle")
    with (bundle / "tensors.safetensors").open("r+b") as stream:
        stream.truncate(100)
    model = RecommendationModel("shop", bundle)
    with pytest.raises(UserError, match=r"tensors.safetensors: differs from its checksum"):
        model.load()
    assert not model.ready


def test_interests_without_a_text_encoder_are_refused(model):
    with pytest.raises(ValueError, match="instance 0: this model cannot read interests; leave the key out"):
        asyncio.run(model.predict({"instances": [{"interests": "red"}]}))


def test_a_bug_shows_the_client_nothing_of_the_inside(model, monkeypatch, caplog):
    def broken(*_):
        raise KeyError("/secret/path")

    monkeypatch.setattr(model._service.now.recommender, "answers", broken)
    with pytest.raises(RuntimeError, match=r"^internal error; the server's log has the details$"):
        asyncio.run(model.predict({"instances": [{}]}))
    assert "/secret/path" in caplog.text


def test_default_k_is_at_most_the_catalogue(model):
    answer = asyncio.run(model.predict({"instances": [{}]}))
    assert len(answer["predictions"][0]["items"]) == 4


def test_the_server_never_imports_torch():
    code = (
        "import sys, longtail.components.predict.server, longtail.components.predict.model, "
        "longtail.components.predict.client; print(sorted({'torch', 'transformers', 'kfp', 'sklearn'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
