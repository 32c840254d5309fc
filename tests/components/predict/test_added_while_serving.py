"""Items that the shop adds by text, beside the real server, and through changes of what serves."""

import pytest
from helpers_hand_bundle import write_hand_bundle
from helpers_server import put, until

from longtail.components.deploy.local_server import running_server
from longtail.components.predict.client import ask
from longtail.components.predict.model import LAST_GOOD
from longtail.components.predict.service import Service
from longtail.contracts.errors import UserError
from longtail.registry.bundles import bundle_id
from longtail.system.http import fetch

pytestmark = pytest.mark.slow  # they start the model server

E = "added: {e: {title: Red thing, text: red lamp, attributes: [new]}}"


def test_it_is_part_of_the_catalogue_from_the_next_answer_on(tmp_path):
    bundle, path = write_hand_bundle(tmp_path / "bundle"), tmp_path / "availability.yaml"
    put(path, "hidden: []")
    with running_server(bundle, "shop", 60, tmp_path / "log", ["--availability", str(path)]) as server:

        def answer(**asked):
            (prediction,) = ask(server.url, "shop", [{"k": 4, **asked}])
            return prediction

        def ids(**asked):
            return [item["item_id"] for item in answer(**asked)["items"]]

        assert answer(history=["e"])["unknown_items"] == ["e"]
        put(path, E)
        until(lambda: answer(history=["e"])["unknown_items"], [])
        assert sorted(ids(k=5)) == list("abcde")
        (item,) = answer(candidates=["e"])["items"]
        assert (item["title"], item["reason"]) == ("Red thing", "nobody has chosen it yet")
        assert ids(filters={"all": ["new"]}) == ["e"]
        assert set(ids(explore={"epsilon": 1.0, "new_items": True}, k=2)) == {"d", "e"}
        assert set(ids(similar_to=["e"])) == set("abcd")
        assert answer()["bundle_version"] == bundle_id((bundle / "manifest.json").read_bytes())
        put(path, E + "\nhidden: [e]")  # an id that is only added can be hidden
        until(lambda: ids(candidates=["e"]), [])
        put(path, "added: {e: {title: Red, numbers: {price: 1}}}")
        until(lambda: answer()["degraded"], LAST_GOOD.format("availability"))
        assert ids(candidates=["e"]) == []  # what the last good one said
        put(path, "hidden: []")
        until(lambda: answer(history=["e"])["unknown_items"], ["e"])
        until(lambda: answer()["degraded"], None)  # the file is said to be good after it acts
        assert (
            'longtail_file_taken{file="availability",model_name="shop"} 1.0' in fetch(f"{server.url}/metrics").decode()
        )
    log = (tmp_path / "log").read_text()
    assert "added 1 items by their texts" in log
    assert "added.e.numbers: items have no number 'price'; this bundle's have none" in log


@pytest.fixture
def service(tmp_path):
    service = Service(100)
    service.take_bundle(write_hand_bundle(tmp_path / "bundle"))
    return service


def given(service, **asked):
    return [item.item_id for item in service.now.recommender.recommend(k=4, **asked).items]


def test_a_new_bundle_holds_them_from_its_first_answer_on(service, tmp_path):
    service.close(E + "\nsold_out: [a]", "availability.yaml")
    service.obey("rules: [{name: no news, hide: [new]}]", "rules.yaml")  # an attribute that only the added item has
    assert given(service) == ["b", "c", "d"]
    other = write_hand_bundle(tmp_path / "other", titles=("Green lamp", None, None, None))
    service.take_bundle(other)
    assert service.now.version == bundle_id((other / "manifest.json").read_bytes())
    assert given(service) == ["b", "c", "d"]
    service.obey("rules: []", "rules.yaml")
    assert "e" in given(service)


def test_a_file_that_adds_what_the_rules_need_no_more_is_refused_whole(service):
    service.close(E, "availability.yaml")
    service.obey("rules: [{name: no news, hide: [new]}]", "rules.yaml")
    with pytest.raises(UserError, match=r"rules\.yaml: rule 'no news': no item has the attribute 'new'"):
        service.close("hidden: [a]", "availability.yaml")
    assert given(service) == ["a", "b", "c", "d"]  # a is not hidden, and e is there, and hidden as before
    assert given(service, candidates=["e"]) == []


def test_what_is_closed_does_not_wait_for_texts_to_be_read(service, monkeypatch):
    """The reading of texts looks at what is given meanwhile."""
    seen = []
    encode = type(service.now.recommender.scorer).text_vectors

    def reading(self, texts):
        seen.append(given(service))
        return encode(self, texts)

    monkeypatch.setattr("longtail.scoring.scorer.Scorer.text_vectors", reading)
    service.close(E + "\nsold_out: [a]", "availability.yaml")
    assert seen[0] == ["b", "c", "d"]
    assert "a" not in given(service) and "e" in service.now.recommender.bundle.item_ids


def test_a_bundle_without_text_encoder_takes_the_place_of_none_with_added_items(service, tmp_path):
    service.close(E, "availability.yaml")
    before = service.now
    with pytest.raises(UserError, match=r"^availability\.yaml: added: the bundle .* holds no text encoder"):
        service.take_bundle(write_hand_bundle(tmp_path / "other", text=False))
    assert service.now is before


def test_once_a_bundle_holds_them_itself_they_are_left_aside(service, caplog):
    service.close("added: {a: {title: Mine}, e: {title: Red thing}}", "availability.yaml")
    assert service.now.recommender.bundle.titles[0] == "Red lamp"
    assert "left aside, as the bundle holds them itself by now: a;" in caplog.text


def test_a_server_whose_bundle_cannot_have_them_does_not_start(tmp_path):
    bundle = write_hand_bundle(tmp_path / "bundle", text=False)
    put(tmp_path / "a.yaml", E)
    with (
        pytest.raises(UserError, match=r"a\.yaml: added: the bundle .* holds no text encoder"),
        running_server(bundle, "shop", 60, tmp_path / "log", ["--availability", str(tmp_path / "a.yaml")]),
    ):
        pass
