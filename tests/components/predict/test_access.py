"""Who may ask, by a file of tokens: what it may hold, and what each may."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longtail.components.predict.access import Access, hash_of, scope_of_call, scope_of_path
from longtail.contracts.errors import UserError

ASKS, OPERATES, SLOW = "token-of-the-page", "token-of-the-staff", "token-of-a-guest"


def file(*entries):
    return "tokens:\n" + "".join(f"  - {entry}\n" for entry in entries)


FILE = file(
    f"{{name: page, sha256: {hash_of(ASKS)}, scopes: [ask]}}",
    f"{{name: staff, sha256: {hash_of(OPERATES).upper()}, scopes: [ask, operate]}}",
    f"{{name: guest, sha256: {hash_of(SLOW)}, scopes: [ask], per_second: 0.5}}",
)


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def access():
    access = Access(Clock())
    access.take(FILE, "tokens.yaml")
    return access


def status(access, header, scope="ask"):
    refusal = access.refusal(header, scope)
    return refusal and (refusal.status.value, dict(refusal.headers))


def test_a_known_token_may_what_its_scopes_say(access):
    assert status(access, f"Bearer {ASKS}") is None
    assert status(access, f"bearer  {ASKS} ") is None
    assert status(access, f"Bearer {OPERATES}", "operate") is None
    assert status(access, f"Bearer {ASKS}", "operate") == (
        403,
        {"www-authenticate": 'Bearer realm="longtail", error="insufficient_scope", scope="operate"'},
    )


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", f"Basic {ASKS}", ASKS])
def test_without_a_token_it_is_a_401(access, header):
    assert status(access, header) == (401, {"www-authenticate": 'Bearer realm="longtail"'})


@given(st.text(st.characters(max_codepoint=255)))
def test_no_other_text_is_a_token(text):
    access = Access(Clock())
    access.take(FILE, "tokens.yaml")
    if text.strip() not in (ASKS, OPERATES, SLOW):
        assert status(access, f"Bearer {text}")[0] == 401


def test_the_hash_itself_is_no_token(access):
    assert status(access, f"Bearer {hash_of(ASKS)}")[0] == 401


def test_every_hash_is_compared_whichever_it_is(access, monkeypatch):
    compared, compare = [], hmac.compare_digest

    def counting(known, given):
        compared.append(known)
        return compare(known, given)

    monkeypatch.setattr(hmac, "compare_digest", counting)
    for token in (ASKS, OPERATES, "unknown"):
        compared.clear()
        access.refusal(f"Bearer {token}", "ask")
        assert compared == [hashlib.sha256(one.encode()).digest() for one in (ASKS, OPERATES, SLOW)]


def test_a_rate_lets_one_through_every_two_seconds(access):
    """.5 a second: one at once, the next after 2 s; of 3 s without any only one is saved up."""
    header, clock = f"Bearer {SLOW}", access.clock
    assert status(access, header) is None
    assert status(access, header) == (429, {"retry-after": "2"})
    clock.now += 1.5
    assert status(access, header) == (429, {"retry-after": "1"})
    clock.now += 0.5
    assert status(access, header) is None
    clock.now += 30
    assert [status(access, header) is None for _ in range(2)] == [True, False]
    assert status(access, f"Bearer {ASKS}") is None  # the others have their own


def test_a_changed_file_gives_no_fresh_second_where_the_rate_is_the_same(access):
    assert status(access, f"Bearer {SLOW}") is None
    access.take(FILE, "tokens.yaml")
    assert status(access, f"Bearer {SLOW}")[0] == 429
    access.take(FILE.replace("per_second: 0.5", "per_second: 1"), "tokens.yaml")
    assert status(access, f"Bearer {SLOW}") is None


def test_what_is_taken_out_is_not_let_in_any_more(access):
    access.take("tokens: []", "tokens.yaml")
    assert status(access, f"Bearer {ASKS}")[0] == 401
    assert not access.is_open


def test_without_a_file_everybody_may_ask():
    access = Access()
    assert access.is_open and access.refusal(None, "ask") is None


ENTRY = f"name: a, sha256: {hash_of('a')}, scopes: [ask]"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must hold tokens"),
        ("tokens: [", "is not YAML"),
        ("token: []", "tokens: Field required"),
        (file(f"{{{ENTRY}, scope: [ask]}}"), "tokens.0.scope: Extra inputs"),
        (file("{name: a, sha256: token-of-the-page, scopes: [ask]}"), "tokens.0.sha256: String should match"),
        (file(f"{{name: a, sha256: {hash_of('a')}, scopes: [all]}}"), "tokens.0.scopes.0: Input should be 'ask'"),
        (file(f"{{name: a, sha256: {hash_of('a')}, scopes: []}}"), "tokens.0.scopes: Tuple should have at least 1"),
        (file(f"{{{ENTRY}, per_second: 0}}"), "tokens.0.per_second: Input should be greater than 0"),
        (file(f"{{{ENTRY}, per_second: inf}}"), "tokens.0.per_second: Input should be a finite number"),
        (file(f"{{{ENTRY}}}", f"{{{ENTRY}}}"), "two tokens are named 'a'"),
        (file(f"{{{ENTRY}}}", f"{{{ENTRY.replace('name: a', 'name: b')}}}"), "'a' and 'b' are the same token"),
        (file(f"{{{ENTRY}, name: b}}"), "'name' is there twice"),
    ],
)
def test_a_file_that_is_wrong_changes_nothing_and_is_not_quoted(access, text, message):
    with pytest.raises(UserError, match=r"^tokens\.yaml: ") as caught:
        access.take(text, "tokens.yaml")
    assert message in str(caught.value)
    assert "token-of-the-page" not in str(caught.value)
    assert status(access, f"Bearer {ASKS}") is None


@pytest.mark.parametrize(
    ("path", "scope"),
    [
        ("/", None),
        ("/metrics", None),
        ("/v2/health/live", None),
        ("/v2/health/ready", None),
        ("/v1/models/shop", None),
        ("/v2/models/shop/ready", None),
        ("/v2/models/shop/versions/1/ready", None),
        ("/v1/models", "ask"),
        ("/v1/models/shop:predict", "ask"),
        ("/v2/models/shop/infer", "ask"),
        ("/v2/models/shop", "ask"),
        ("/v2", "ask"),
        ("/v1/models/shop/availability", "operate"),
        ("/v1/models/shop/availability\n", "operate"),
        ("/v1/models/shop:predict/availability", "operate"),
        ("/v2/repository/models/shop/unload", "operate"),
        ("//metrics", "operate"),
        ("/metrics/", "operate"),
        ("/what/comes/later", "operate"),
    ],
)
def test_what_is_not_listed_as_open_needs_a_token(path, scope):
    assert scope_of_path(path) == scope


def test_calls_of_grpc():
    service = "/inference.GRPCInferenceService/"
    names = ("ServerLive", "ModelReady", "ModelInfer", "RepositoryModelUnload", "Later")
    assert [scope_of_call(service + name) for name in names] == [None, None, "ask", "operate", "operate"]
