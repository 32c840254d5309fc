import pytest


@pytest.fixture
def tables(tmp_path):
    """Three users with three events each, and three items."""
    rows = [f"u{user},i{item},{1_700_000_000 + item}" for user in range(3) for item in range(3)]
    (tmp_path / "log.csv").write_text("\n".join(["user_id,item_id,timestamp", *rows]) + "\n")
    (tmp_path / "items.csv").write_text("item_id,title\n" + "".join(f"i{item},Item {item}\n" for item in range(3)))
    return tmp_path
