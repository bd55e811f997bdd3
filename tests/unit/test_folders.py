"""Files below a folder, also behind links."""

from __future__ import annotations

from pathlib import Path

from streamproc.folders import files_below


def test_linked_folders_are_walked_and_rings_are_not(tmp_path: Path) -> None:
    (tmp_path / "store" / "deep").mkdir(parents=True)
    (tmp_path / "store" / "deep" / "a.jpg").touch()
    top = tmp_path / "top"
    top.mkdir()
    (top / "b.jpg").touch()
    for name in ("one", "two"):
        (top / name).symlink_to(tmp_path / "store")
    (tmp_path / "store" / "back").symlink_to(top)
    (top / "broken").symlink_to(tmp_path / "nowhere")
    (top / "file.jpg").symlink_to(tmp_path / "store" / "deep" / "a.jpg")
    found = sorted(str(path.relative_to(top)) for path in files_below(top))
    assert found == ["b.jpg", "file.jpg", "one/deep/a.jpg", "two/deep/a.jpg"]
    assert list(files_below(tmp_path / "nowhere")) == []
