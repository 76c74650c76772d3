"""Archives that would harm are refused before anything is left on disk."""

import io
import stat
import zipfile
from pathlib import Path

import pytest

from pytest_deploygate.emulator.runtime.source_unpacking import BadArchive, content_digest, unpack


def _archive(path: Path, *members: tuple[zipfile.ZipInfo | str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def _link() -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("link")
    info.create_system = 3
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../out", "a/../../out", "..\\out", "C:\\out", "C:/out"]
)
def test_path_outside_is_refused(tmp_path: Path, name: str) -> None:
    archive = _archive(tmp_path / "a.zip", (name, b"x"))
    with pytest.raises(BadArchive, match="outside"):
        unpack(archive, tmp_path / "into")
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_link_is_refused(tmp_path: Path) -> None:
    archive = _archive(tmp_path / "a.zip", (_link(), b"/etc/passwd"))
    with pytest.raises(BadArchive, match="link or device"):
        unpack(archive, tmp_path / "into")


def test_bomb_is_refused(tmp_path: Path) -> None:
    archive = _archive(tmp_path / "a.zip", ("zeros", b"\0" * (32 << 20)))
    with pytest.raises(BadArchive, match="unpacks from"):
        unpack(archive, tmp_path / "into")


def test_member_larger_than_it_says_is_refused(tmp_path: Path) -> None:
    archive = _archive(tmp_path / "a.zip", ("zeros", b"\0" * 5000))
    data = archive.read_bytes().replace((5000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    archive.write_bytes(data)
    with pytest.raises(BadArchive):
        unpack(archive, tmp_path / "into")
    assert not (tmp_path / "into").exists()


def test_what_is_no_zip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"nothing")
    with pytest.raises(BadArchive, match="not a readable zip"):
        unpack(tmp_path / "a.zip", tmp_path / "into")
    with pytest.raises(BadArchive, match="not a readable zip"):
        content_digest(tmp_path / "a.zip")


def test_digest_depends_on_content_alone(tmp_path: Path) -> None:
    old = zipfile.ZipInfo("b", (1990, 1, 1, 0, 0, 0))
    one = _archive(tmp_path / "1.zip", ("a", b"1"), ("b", b"2"))
    same = _archive(tmp_path / "2.zip", (old, b"2"), ("a", b"1"))
    other = _archive(tmp_path / "3.zip", ("a", b"1"), ("b", b"3"))
    assert content_digest(one) == content_digest(same) != content_digest(other)


def test_tree_is_unpacked(tmp_path: Path) -> None:
    buffer = io.BytesIO(b"deep")
    archive = _archive(
        tmp_path / "a.zip", ("a/", b""), ("a/b/c.txt", buffer.getvalue()), ("main.py", b"x")
    )
    unpack(archive, tmp_path / "into")
    assert (tmp_path / "into/a/b/c.txt").read_bytes() == b"deep"
    assert (tmp_path / "into/main.py").exists()
