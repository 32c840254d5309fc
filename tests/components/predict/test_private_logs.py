"""What the log keeps of a fault: where it is, and not what a client wrote."""

import io
import logging

import pytest
from kserve.errors import InvalidInput

from longtail.components.predict.private_logs import PrivateLogs, Pseudonyms, log_key, unquoted
from longtail.components.predict.request import refused
from longtail.contracts.errors import UserError

SECRET = "user-4711"
KEY = b"0123456789abcdef"


@pytest.fixture
def log():
    """A function that logs, and gives what was written."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    handler.addFilter(PrivateLogs(Pseudonyms(KEY)))

    def write(name, *message, level=logging.ERROR, error=None):
        logger = logging.Logger(name)
        logger.addHandler(handler)
        logger.log(level, *message, exc_info=error)
        return stream.getvalue()

    return write


def test_a_hash_is_the_keyed_one():
    """By ``printf user-4711 | openssl dgst -sha256 -hmac 0123456789abcdef``."""
    assert Pseudonyms(KEY).of(SECRET) == "9340945ba4b1"
    assert Pseudonyms(b"another key of 16").of(SECRET) != "9340945ba4b1"


def raised(error):
    try:
        try:
            raise KeyError(SECRET)
        except KeyError:
            raise error  # noqa: B904  (the one before it is shown, too)
    except type(error) as caught:
        return caught


def test_a_failure_keeps_its_lines_and_loses_its_texts(log):
    text = log("longtail.x", "a request failed", error=raised(ValueError(SECRET)))
    assert text.startswith(f"ERROR longtail.x: a request failed: ValueError ({Pseudonyms(KEY).of(SECRET)}), at")
    assert "from KeyError (" in text and text.count("test_private_logs.py") == 2
    assert SECRET not in text


def test_a_failure_that_another_package_logs_loses_its_arguments(log):
    text = log("kserve", "Error processing %s, grpc_method: %s", SECRET, "x", error=raised(ValueError(SECRET)))
    assert text.startswith("ERROR kserve: Error processing: ValueError (") and SECRET not in text


def test_a_refusal_is_one_line(log):
    error = refused(f"instance 0: max_per: no item has the attribute {SECRET!r}, or else")
    text = log("kserve", "Exception:", error=raised(error))
    hashed = Pseudonyms(KEY).of(str(error))
    assert text == f"WARNING kserve: refused a request: instance 0: max_per: no item has the attribute … ({hashed})\n"
    assert (
        log("kserve", "x", error=InvalidInput(SECRET))
        .splitlines()[1]
        .startswith("WARNING kserve: refused a request: InvalidInput (")
    )


def test_warnings_of_other_packages_are_cut_and_ours_are_not(log):
    assert log("kserve", f"Caught exception: {SECRET}").startswith("ERROR kserve: Caught exception (")
    text = log("longtail.x", "%s: 1 ids are not in the catalogue: %s", "stock.yaml", "item-7", level=logging.WARNING)
    assert text.endswith("longtail.x: stock.yaml: 1 ids are not in the catalogue: item-7\n")
    assert SECRET not in text


@pytest.mark.parametrize(
    ("message", "left"), [("k is 9; ask", "k is 9; ask"), ("no 'x' or \"y\"", "no …"), ('"', " …")]
)
def test_what_is_quoted_is_cut_off(message, left):
    assert unquoted(message) == left


def test_a_key_comes_of_a_file_or_the_environment_or_is_random(tmp_path, monkeypatch):
    monkeypatch.delenv("LONGTAIL_LOG_KEY", raising=False)
    assert len(log_key(None)) == 32 and log_key(None) != log_key(None)
    monkeypatch.setenv("LONGTAIL_LOG_KEY", "of the environment")
    assert log_key(None) == b"of the environment"
    (tmp_path / "key").write_bytes(KEY + b"\n")
    assert log_key(tmp_path / "key") == KEY
    (tmp_path / "key").write_text("short")
    with pytest.raises(UserError, match=r"key: a key of 5 bytes is too short"):
        log_key(tmp_path / "key")
    with pytest.raises(UserError, match="give --log-key a file with a random key"):
        log_key(tmp_path / "none")
