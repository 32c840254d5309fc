import json

import pytest

from longtail.contracts.errors import ERROR_FILE, UserError, find_reported, reported


def test_user_error_is_written_beside_the_output_and_ends_the_task_with_two(tmp_path, capsys):
    output = tmp_path / "task/prepared"
    with pytest.raises(SystemExit) as ended, reported(output):
        raise UserError("items.csv: row 3 has no id; give it one")
    assert ended.value.code == 2
    assert json.loads((tmp_path / "task" / ERROR_FILE).read_text()) == {
        "message": "items.csv: row 3 has no id; give it one"
    }
    assert find_reported(tmp_path) == "items.csv: row 3 has no id; give it one"
    assert capsys.readouterr().err == "error: items.csv: row 3 has no id; give it one\n"


def test_other_errors_pass_and_report_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError), reported(tmp_path / "task/prepared"):
        _ = 1 / 0
    assert find_reported(tmp_path) is None


def test_without_an_error_nothing_is_written(tmp_path):
    with reported(tmp_path / "task/prepared"):
        pass
    assert list(tmp_path.iterdir()) == []
