"""Tables that stages hand on."""

from pathlib import Path

from lib.runtime.csv_files import read_csv


def test_text_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "per_action.csv").write_text("action,p_mpjpe_mm\n01,50.0\nNA,60.5\n1e3,70\n")
    table = read_csv(tmp_path / "per_action.csv", "run dvc repro", ["p_mpjpe_mm"], ["action"])
    assert table["action"].tolist() == ["01", "NA", "1e3"]
    assert table["p_mpjpe_mm"].tolist() == [50.0, 60.5, 70.0]
