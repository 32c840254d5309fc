"""The inputs that people bring, which lie beside the project on some machines: each command ends as is right.

Their kinds, with inputs made here, are tested in tests/tables and beside this file.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from longtail.components.predict.request import Instance, instances_of_v1
from longtail.contracts.prepared import PreparedDataset
from longtail.scoring.known_attributes import KnownAttributes

CASES = Path(__file__).parents[4] / "shared" / "cases"
COMMAND = '#!/bin/sh\nexec {python} -c "from longtail.pipelines.cli.main import main; main()" "$@"\n'
EVENTS, ITEMS = 144, 60  # in nearly all of them

Check = Callable[[PreparedDataset], bool]


@dataclass(frozen=True)
class Right:
    """How a command should end: exit code, texts that it says, and what it wrote."""

    code: int = 0
    says: tuple[str, ...] = ()
    check: Check | None = None


def whole(data: PreparedDataset) -> bool:
    return (len(data.item_codes), len(data.item_ids), data.facts["rejected"]) == (EVENTS, ITEMS, {})


def attributes(*first: str) -> Check:
    return lambda data: whole(data) and data.item_attributes[0] == list(first)


def text(first: str) -> Check:
    return lambda data: whole(data) and data.item_texts[0] == first


def rejected(events: int, **reasons: int) -> Check:
    named = {name.replace("_", " "): count for name, count in reasons.items()}
    return lambda data: len(data.item_codes) == events and data.facts["rejected"] == named


RIGHT = {
    "1-quoted-newline": Right(check=text("Red lamp 0 | line one\nline two")),
    "4-jsonl-iso-time": Right(check=whole),
    "6-users-float-ids": Right(check=lambda data: whole(data) and all(map(len, data.user_attributes))),
    "8-nan-user-id": Right(2, ("29 of 144 rows cannot be used (null id: 29)", "null, NaN and blank are none")),
    "10-output-symlink": Right(check=whole),
    "13-gzip-named-csv": Right(check=whole),
    "14-parquet-nan-timestamp": Right(says=("timestamp=nan",), check=rejected(143, bad_timestamp=1)),
    "15-jsonl-bad-timestamp-after-100000": Right(says=("=yesterday",), check=rejected(100_000, bad_timestamp=1)),
    "16-json-array": Right(2, ("is one JSON array", "json.load(open('inter.json'")),
    "17-headerless": Right(2, ("its first line looks like data", "preprocess.header={interactions: [user_id, item_id")),
    "18-utf16": Right(check=whole),
    "19-latin1": Right(2, ("line 2 is not UTF-8; as latin-1 it reads", "café", "preprocess.encoding=latin-1")),
    "20-glob-with-SUCCESS": Right(check=whole),
    "21-brackets-in-path": Right(check=whole),
    "22-attributes-as-json-text": Right(check=attributes("home", "red")),
    "23-html-entities": Right(check=text("Red lamp 0 & Co 'XL' | home, red")),
    "24-parquet-list-of-ints": Right(check=attributes("1", "2")),
    "25-min-rating-drops-all": Right(2, ("none of 144 rows is left", "min_rating 4 leaves ratings below it out")),
    "27-unquoted-newline-makes-an-item": Right(
        says=("2 of 61 rows are left out (wrong number of columns: 2), for example row 5",),
        check=lambda data: len(data.item_ids) == ITEMS - 1 and "rest of the title" not in data.item_ids,
    ),
    "28-jsonl-bom": Right(check=whole),
    "29-empty-path": Right(2, ("the address of a table is '', which is empty",)),
    "30-hm-date-csv": Right(check=whole),
    "31-unbalanced-quotes-tsv": Right(
        says=("quotes are read as plain characters",),
        check=lambda data: whole(data) and data.titles[5] == '"Brass clock 5 they said',
    ),
    "32-kfp-placeholder-in-path": Right(2, ("takes for a placeholder of its own",)),
}


def copied(name: str, target: Path) -> Path:
    if not (CASES / name).is_dir():
        pytest.skip(f"the case {name} is not here (looked in ../shared/cases beside the checkout)")
    shutil.copytree(CASES / name, target, copy_function=shutil.copyfile)
    target.chmod(0o755)
    return target


def ended(name: str, tmp_path: Path) -> tuple[subprocess.CompletedProcess[str], Path]:
    folder = copied(name, tmp_path / name)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "longtail").write_text(COMMAND.format(python=sys.executable))
    (tmp_path / "bin" / "longtail").chmod(0o755)
    places = [tmp_path / "bin", Path(sys.executable).parent, *os.environ["PATH"].split(":")]
    environment = os.environ | {"PATH": ":".join(map(str, places)), "HOME": str(tmp_path / "home")}
    (tmp_path / "home").mkdir()
    done = subprocess.run(["bash", "cmd"], cwd=folder, env=environment, capture_output=True, text=True)
    return done, folder


@pytest.mark.slow
@pytest.mark.parametrize("name", RIGHT)
def test_the_command_ends_as_is_right(name: str, tmp_path: Path):
    right = RIGHT[name]
    done, folder = ended(name, tmp_path)
    assert done.returncode == right.code, done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    for part in right.says:
        assert part in done.stderr
    if right.check:
        assert right.check(PreparedDataset(folder / "out"))


@pytest.mark.slow
def test_a_tilde_is_the_home_folder(tmp_path: Path):
    ended("12-tilde-output", tmp_path)
    assert whole(PreparedDataset(tmp_path / "home/lt-x"))
    assert not (tmp_path / "12-tilde-output/~").exists()


def test_every_case_is_known():
    if not CASES.is_dir():
        pytest.skip("the cases are not here (looked in ../shared/cases beside the checkout)")
    asked = {"12-tilde-output", "34-null-fields", "36-number-of-a-band"}
    assert {path.parent.name for path in CASES.glob("*/cmd")} == {*RIGHT, *asked}


def test_null_fields_are_as_if_left_out(tmp_path: Path):
    body = json.loads((copied("34-null-fields", tmp_path / "case") / "body.json").read_text())
    assert instances_of_v1(body) == [Instance(k=3)]


def test_a_number_is_put_into_its_band(tmp_path: Path):
    body = json.loads((copied("36-number-of-a-band", tmp_path / "case") / "body.json").read_text())
    (instance,) = instances_of_v1(body)
    assert instance.attributes == ["age=25"]
    assert KnownAttributes(["age=18-23", "age=24-28", "gender=F"]).find("age=25") == "age=24-28"
