"""`longtail add-items`, `compress` and `demo-data`, as typed."""

from helpers_command import command, is_one_message, refused
from helpers_hand_bundle import write_hand_bundle
from helpers_prepared import write_bundle_for, write_tiny_prepared

from longtail.contracts.prepared import PreparedDataset
from longtail.pipelines.cli import main as cli
from longtail.scoring.bundle import load_bundle
from longtail.scoring.int8 import Int8Rows


def typed(*arguments):
    try:
        cli.main([str(argument) for argument in arguments])
    except SystemExit as ended:
        assert not ended.code


def test_added_items_can_be_recommended(tmp_path, capfd):
    bundle = write_hand_bundle(tmp_path / "bundle")
    (tmp_path / "new.csv").write_text("sku,title\ne,red lamp\nd,Chair\n")
    common = ("--bundle", bundle, "--items", tmp_path / "new.csv", "--set", "preprocess.columns={item_id: sku}")
    code, error = refused(capfd, "add-items", *common, "--output", tmp_path / "out")
    assert code == 2
    assert is_one_message(error, "'d'", "--replace")  # the bundle's chair has attributes
    assert not (tmp_path / "out").exists()
    typed("add-items", *common, "--replace")
    assert "Added 1 items, replaced 1." in capfd.readouterr().out
    typed("recommend", "--bundle", bundle, "--history", "e", "-k", 5)
    assert "because of red lamp in your history" in capfd.readouterr().out


def test_compress_prints_what_is_kept(tmp_path, capfd):
    data = PreparedDataset(write_tiny_prepared(tmp_path / "prepared"))
    bundle = write_bundle_for(tmp_path / "bundle", data, seed=3)
    common = ("compress", "--bundle", bundle, "--prepared", tmp_path / "prepared", "--output", tmp_path / "out")
    code, error = refused(capfd, *common)
    assert code == 2
    assert is_one_message(error, "no compression is on", "distill.compression.int8_items=true")
    typed(*common, "--set", "distill.compression.int8_items=true", "--set", "distill.compression.keep_ndcg=0")
    shown = capfd.readouterr().out
    assert [line.split()[0] for line in shown.splitlines()[2:8]] == ["0", "1", "2", "3", "4", "all"]
    assert isinstance(load_bundle(tmp_path / "out").tensors.item_matrix, Int8Rows)


def test_demo_data_is_reproducible(tmp_path, capfd):
    for name in ("first", "second"):
        shown = command(capfd, "demo-data", "--out", tmp_path / name)
    assert "3,000 users" in shown
    for table in ("interactions", "items", "users"):
        first, second = (tmp_path / name / f"{table}.parquet" for name in ("first", "second"))
        assert first.read_bytes() == second.read_bytes()
