"""The source archive: what goes in, what never does, and what is refused with which words."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_deploygate.core.artifacts import Package
from pytest_deploygate.core.errors import ConfigError
from pytest_deploygate.targets import source_archive
from pytest_deploygate.targets.secret_scan import scan_file
from pytest_deploygate.targets.source_archive import make_package
from tests.secret_corpus import HARMLESS, PLANTED, Planted, text_of

MAIN = """\
def process(request):
    return 'ok'
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The smallest function that can be built."""
    folder = tmp_path / "source"
    write(folder, {"main.py": MAIN, "requirements.txt": ""})
    return folder


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def write(folder: Path, files: dict[str, str | bytes]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def pack(source: Path, home: Path, *, runtime: str = "python311") -> Package:
    return make_package(source, home=home, entry_point="process", runtime=runtime)


def refusal(source: Path, home: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        pack(source, home)
    packages = home / "packages"
    assert not packages.exists() or list(packages.iterdir()) == []
    assert caught.value.hint
    return str(caught.value)


# -- content and identity --------------------------------------------------------------------------


def test_package_holds_the_files_of_the_source(source: Path, home: Path) -> None:
    write(source, {"lib/deep/a.txt": "a", "lib/b.bin": b"\0\1"})
    package = pack(source, home)
    with zipfile.ZipFile(package.path) as opened:
        assert opened.namelist() == sorted(package.files)
        assert opened.read("lib/b.bin") == b"\0\1"
        assert opened.testzip() is None
        assert {m.external_attr >> 16 for m in opened.infolist()} == {0o100644}
    assert package.files == ("lib/b.bin", "lib/deep/a.txt", "main.py", "requirements.txt")
    assert package.size_bytes == Path(package.path).stat().st_size
    assert package.left_out == ()


def test_package_is_the_same_for_the_same_content(source: Path, home: Path, tmp_path: Path) -> None:
    write(source, {"z.txt": "z", "a/b.txt": "b"})
    first = pack(source, home)
    first_bytes = Path(first.path).read_bytes()
    copy = tmp_path / "copy"
    shutil.copytree(source, copy)
    for path in copy.rglob("*"):
        os.utime(path, (1, 1))
        path.chmod(0o700 if path.is_dir() else 0o600)
    second = pack(copy, tmp_path / "other-home")
    assert second.digest == first.digest
    assert Path(second.path).read_bytes() == first_bytes


def test_package_keeps_that_a_file_can_be_executed(source: Path, home: Path) -> None:
    write(source, {"tool.sh": "#!/bin/sh\n"})
    plain = pack(source, home)
    (source / "tool.sh").chmod(0o755)
    executable = pack(source, home)
    assert plain.digest != executable.digest
    with zipfile.ZipFile(executable.path) as archive:
        modes = {m.filename: m.external_attr >> 16 for m in archive.infolist()}
    assert modes == {"main.py": 0o100644, "requirements.txt": 0o100644, "tool.sh": 0o100755}


def test_digest_is_that_of_names_and_contents(source: Path, home: Path) -> None:
    def line(name: str, content: str) -> bytes:
        return f"{name}\0{hashlib.sha256(content.encode()).hexdigest()}\n".encode()

    expected = hashlib.sha256(line("main.py", MAIN) + line("requirements.txt", ""))
    assert pack(source, home).digest == expected.hexdigest()


def test_digest_changes_with_content_and_with_name(source: Path, home: Path) -> None:
    write(source, {"data.txt": "1"})
    before = pack(source, home).digest
    write(source, {"data.txt": "2"})
    changed = pack(source, home).digest
    (source / "data.txt").rename(source / "data2.txt")
    renamed = pack(source, home).digest
    assert len({before, changed, renamed}) == 3


def test_packing_writes_nothing_into_the_source(source: Path, home: Path) -> None:
    write(source, {".gitignore": "x\n"})  # where gcloud would write a .gcloudignore
    before = sorted(source.rglob("*"))
    pack(source, home)
    assert sorted(source.rglob("*")) == before


# -- what is left out ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        ".env",
        ".env.production",
        "production.env",
        "keys/server.pem",
        "keys/server.key",
        "a.p12",
        "id_rsa",
        "id_ed25519",
        "google-credentials.json",
        "my-service-account-7.json",
        "client_secret_12.json",
        "gha-creds-3f2a.json",
        ".google.json",
        ".netrc",
        ".npmrc",
        "terraform.tfstate",
        ".git/config",
        ".venv/lib/x.py",
        "node_modules/x/index.js",
        "__pycache__/main.cpython-311.pyc",
        ".deploygate/state.db",
        ".aws/config",
        "ID_RSA",
        "Server.PEM",
    ],
)
def test_nothing_re_includes_what_must_stay_here(source: Path, home: Path, name: str) -> None:
    write(source, {name: "text", ".gcloudignore": f"!{name}\n!**\n"})
    package = pack(source, home)
    assert name not in package.files
    top = name.partition("/")[0]
    assert any(left.startswith(top) and reason for left, reason in package.left_out)


@pytest.mark.parametrize("name", ["identity.py", "idea_rsa.txt", "environment.py", "keyboard.py"])
def test_names_that_only_resemble_secrets_are_packed(source: Path, home: Path, name: str) -> None:
    write(source, {name: "text"})
    assert name in pack(source, home).files


def test_what_is_left_out_is_named_with_its_reason(source: Path, home: Path) -> None:
    write(
        source, {".gcloudignore": "*.md\n", "notes.md": "n", ".env": "A=1", "x/__pycache__/a": ""}
    )
    assert dict(pack(source, home).left_out) == {
        ".env": "may hold secrets",
        "notes.md": ".gcloudignore",
        "x/__pycache__/": "installed or generated here",
    }


def test_records_inside_the_source_are_left_out_under_any_name(source: Path) -> None:
    home = source / "records"
    write(source, {"records/old.txt": "x"})
    assert "records/old.txt" not in pack(source, home).files


# -- .gcloudignore ---------------------------------------------------------------------------------

TREE = {
    "a.txt": "",
    "b.log": "",
    "keep.log": "",
    "docs/a.txt": "",
    "docs/deep/b.log": "",
    "docs/deep/keep.log": "",
    "build/out.txt": "",
    "build/keep.txt": "",
    "src/build/x.py": "",
    "space name.txt": "",
    "#hash.txt": "",
    "!bang.txt": "",
    "src/[x].txt": "",
}


@pytest.mark.parametrize(
    "patterns",
    [
        "*.log\n!keep.log",
        "build/\n!build/keep.txt",
        "/build",
        "/build/*\n!/build/keep.txt",
        "docs/**/*.log",
        "**/deep",
        "docs/**",
        "\\#hash.txt\n\\!bang.txt",
        "# a comment\n\n   \n*.txt   ",
        "*\n!*/\n!*.py",
        "*\n!main.py\n!requirements.txt\n!docs\n!docs/a.txt",
        "src/[[]x[]].txt",
        "space\\ name.txt",
        "d?cs",
        "[a-b].*",
        "docs/\n!docs/deep/\n!docs/deep/keep.log",
        "*.txt\n!docs/",
        "[",
        "a.txt\\",
        "***",
        "docs/**/deep/**/keep.log",
    ],
)
def test_patterns_mean_what_git_means(source: Path, home: Path, patterns: str) -> None:
    write(source, {**TREE, ".gcloudignore": patterns + "\n!main.py\n!requirements.txt\n"})
    assert set(pack(source, home).files) == listed_by_git(source, home)


pieces = st.sampled_from(
    [
        "a",
        "b",
        "log",
        "docs",
        "deep",
        "keep",
        "*",
        "**",
        "?",
        "/",
        "/",
        ".",
        "!",
        "[ab]",
        "[!d]",
        "\\*",
        " ",
        "[",
        "#",
    ]
)
# git itself takes ``a**/*`` for ``a`` and ``**/*``, against gitignore(5): it compares what has no wildcard apart
lines = (
    st.lists(pieces, min_size=1, max_size=6)
    .map("".join)
    .filter(lambda line: not re.search(r"[^/*!]\*\*(/|$)", line))
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(patterns=st.lists(lines, max_size=5))
def test_any_patterns_mean_what_git_means(source: Path, home: Path, patterns: list[str]) -> None:
    text = "\n".join([*patterns, "!main.py", "!requirements.txt", ""])
    write(source, {**TREE, ".gcloudignore": text})
    assert set(pack(source, home).files) == listed_by_git(source, home)


def test_stars_inside_a_name_are_those_of_a_name(source: Path, home: Path) -> None:
    write(source, {"ab/deep/x.txt": "", "a.txt": "", ".gcloudignore": "a**/*\n"})
    packed = set(pack(source, home).files)
    assert "a.txt" in packed
    assert "ab/deep/x.txt" not in packed


def listed_by_git(source: Path, home: Path) -> set[str]:
    """The files that git takes, by a repository outside of the source, which leaves no traces there."""
    repository = home / "git"
    if not repository.exists():
        subprocess.run(["git", "init", "-q", "--bare", str(repository)], check=True)
    listed = subprocess.run(
        ["git", "ls-files", "--others", "--exclude-from=.gcloudignore", "-z"],
        cwd=source,
        env={**os.environ, "GIT_DIR": str(repository), "GIT_WORK_TREE": str(source)},
        check=True,
        capture_output=True,
        text=True,
    )
    return set(listed.stdout.split("\0")) - {""}


def test_a_child_of_an_ignored_directory_is_not_re_included(source: Path, home: Path) -> None:
    write(source, {"data/keep.txt": "", ".gcloudignore": "data/\n!data/keep.txt\n"})
    assert "data/keep.txt" not in pack(source, home).files


def test_without_gcloudignore_everything_is_packed(source: Path, home: Path) -> None:
    write(source, {"notes.log": ""})
    assert "notes.log" in pack(source, home).files


def test_without_gcloudignore_the_gitignore_counts(source: Path, home: Path) -> None:
    write(source, {".gitignore": "*.log\n", "notes.log": "", "sub/.gitignore": "*"})
    files = pack(source, home).files
    assert "notes.log" not in files
    assert ".gitignore" not in files
    assert "sub/.gitignore" not in files
    assert not (source / ".gcloudignore").exists()


def test_a_gcloudignore_alone_counts_and_the_gitignore_does_not(source: Path, home: Path) -> None:
    write(source, {".gitignore": "*.log\n", ".gcloudignore": "*.tmp\n", "a.log": "", "a.tmp": ""})
    files = pack(source, home).files
    assert "a.log" in files
    assert "a.tmp" not in files
    assert ".gcloudignore" in files


def test_an_included_file_counts_where_it_is_named(source: Path, home: Path) -> None:
    write(
        source,
        {
            ".gcloudignore": "*.log\n#!include:.gitignore\n!b.log\n",
            ".gitignore": "!a.log\nb.log\n",
            "a.log": "",
            "b.log": "",
            "c.log": "",
        },
    )
    logs = [name for name in pack(source, home).files if name.endswith(".log")]
    assert logs == ["a.log", "b.log"]


@pytest.mark.parametrize(
    ("files", "names"),
    [
        ({".gcloudignore": "#!include:missing\n"}, "'missing'"),
        ({".gcloudignore": "#!include:../x\n"}, "'../x'"),
        ({".gcloudignore": "#!include:a\n", "a": "#!include:b\n", "b": ""}, "another file"),
        ({".gcloudignore": b"\xff\xfe"}, "cannot be read"),
    ],
)
def test_a_broken_gcloudignore_is_refused(
    source: Path, home: Path, files: dict[str, str | bytes], names: str
) -> None:
    write(source, files)
    message = refusal(source, home)
    assert ".gcloudignore" in message or "another file" in message
    assert names in message


# -- links -----------------------------------------------------------------------------------------


def test_links_inside_the_source_are_followed(source: Path, home: Path) -> None:
    write(source, {"real/a.txt": "content"})
    (source / "link").symlink_to(source / "real")
    (source / "file.txt").symlink_to(source / "real" / "a.txt")
    package = pack(source, home)
    with zipfile.ZipFile(package.path) as opened:
        assert opened.read("link/a.txt") == opened.read("file.txt") == b"content"


def test_a_link_out_of_the_source_is_refused(source: Path, home: Path, tmp_path: Path) -> None:
    write(tmp_path, {"secret.txt": "x"})
    (source / "link").symlink_to(tmp_path / "secret.txt")
    assert "link is a link out of the source directory" in refusal(source, home)


def test_a_link_to_a_denied_file_is_refused(source: Path, home: Path) -> None:
    write(source, {".env": "A=1"})
    (source / "settings.txt").symlink_to(source / ".env")
    assert "settings.txt is a link to" in refusal(source, home)


def test_an_ignored_link_may_lead_anywhere(source: Path, home: Path) -> None:
    (source / "link").symlink_to("/nowhere")
    write(source, {".gcloudignore": "/link\n"})
    assert "link" not in pack(source, home).files


def test_a_dangling_link_is_refused(source: Path, home: Path) -> None:
    (source / "link").symlink_to("nowhere")
    assert "leads nowhere" in refusal(source, home)


def test_a_link_in_a_circle_ends(source: Path, home: Path) -> None:
    (source / "sub").mkdir()
    (source / "sub" / "up").symlink_to(source)
    assert ("sub/up/", "a link to a directory above it") in pack(source, home).left_out


# -- the function ----------------------------------------------------------------------------------


def test_a_missing_source_is_named(home: Path, tmp_path: Path) -> None:
    assert "nothing-here" in refusal(tmp_path / "nothing-here", home)


def test_a_missing_main_is_named(source: Path, home: Path) -> None:
    (source / "main.py").unlink()
    assert "there is no main.py" in refusal(source, home)


def test_a_main_that_is_ignored_says_by_what(source: Path, home: Path) -> None:
    write(source, {".gcloudignore": "*.py\n"})
    assert "left out: .gcloudignore" in refusal(source, home)


def test_missing_requirements_are_named(source: Path, home: Path) -> None:
    (source / "requirements.txt").unlink()
    assert "requirements.txt" in refusal(source, home)
    write(source, {"pyproject.toml": ""})
    assert "pyproject.toml" in pack(source, home).files


def test_a_missing_entry_point_names_what_there_is(source: Path, home: Path) -> None:
    write(
        source,
        {
            "main.py": """\
def other(r):
    return ''
_x = 1
CONSTANT = 2
"""
        },
    )
    message = refusal(source, home)
    assert "no 'process'" in message
    assert "CONSTANT, other" in message


@pytest.mark.parametrize(
    "code",
    [
        "from app import process",
        "from app import *",
        "import app.process as process",
        "process = lambda r: ''",
        "process: object = print",
        "a, process = 1, 2",
        "async def process(r): ...",
        "class process: ...",
        "try:\n    from a import process\nexcept ImportError:\n    process = None",
        "if True:\n    def process(r): ...",
        "try:\n    pass\nexcept E:\n    def process(r): ...",
    ],
)
def test_every_way_to_define_the_entry_point_is_seen(source: Path, home: Path, code: str) -> None:
    write(source, {"main.py": code})
    assert "main.py" in pack(source, home).files


def test_a_nested_function_is_no_entry_point(source: Path, home: Path) -> None:
    write(
        source,
        {
            "main.py": """\
def outer():
    def process(r): ...
"""
        },
    )
    assert "no 'process'" in refusal(source, home)


def test_broken_syntax_is_named_with_its_line(source: Path, home: Path) -> None:
    write(
        source,
        {
            "main.py": """\
x = 1
def process(:
"""
        },
    )
    assert "main.py:2:" in refusal(source, home)


def test_syntax_that_only_a_later_runtime_may_know_is_packed(source: Path, home: Path) -> None:
    write(
        source,
        {
            "main.py": """\
type Row = int


def process(request): ...
"""
        },
    )
    later = f"python3{sys.version_info.minor + 1}"
    assert "main.py" in pack(source, home, runtime=later).files


@pytest.mark.parametrize("name", ["._main.py", "lib/._util.py"])
def test_resource_forks_are_refused(source: Path, home: Path, name: str) -> None:
    write(source, {name: b"\0\5\x16\7"})
    assert f"{name} is a resource fork" in refusal(source, home)


def test_python_with_null_bytes_is_refused(source: Path, home: Path) -> None:
    write(source, {"lib/util.py": b"x = 1\0\n"})
    assert "lib/util.py contains null bytes" in refusal(source, home)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_named(source: Path, home: Path) -> None:
    write(source, {"secret.txt": "x"})
    (source / "secret.txt").chmod(0)
    assert "secret.txt cannot be read" in refusal(source, home)


def test_a_fifo_is_left_out_and_not_opened(source: Path, home: Path) -> None:
    os.mkfifo(source / "pipe")
    assert ("pipe", "not a regular file") in pack(source, home).left_out


def test_a_name_that_is_not_utf8_is_refused(source: Path, home: Path) -> None:
    Path(os.fsdecode(bytes(source) + b"/caf\xe9.txt")).write_text("x")
    assert "not UTF-8" in refusal(source, home)


def test_too_much_is_refused(source: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_archive, "MAX_UNPACKED_BYTES", 3 * 2**20)
    write(source, {"a.bin": b"\0" * 2**21, "b.bin": b"\0" * 2**21})
    assert "more than 3 MiB" in refusal(source, home)


# -- secrets ---------------------------------------------------------------------------------------

ZAPIER = next(text_of(p.content) for p in PLANTED if p.kind == "Zapier catch URL").split("'")[1]
KEY = next(text_of(p.content) for p in PLANTED if p.kind == "RSA key")


@pytest.mark.parametrize("planted", PLANTED, ids=[p.kind for p in PLANTED])
def test_a_secret_is_named_by_file_and_line_and_not_shown(
    source: Path, home: Path, planted: Planted
) -> None:
    content = planted.content
    if not content[:2].count(0) and content[:1] != b"\xff":
        content = b"# one\n# two\n" + content
    (source / "lib").mkdir(exist_ok=True)
    (source / "lib" / planted.name).write_bytes(content)
    message = refusal(source, home)
    lines = text_of(content).splitlines()
    named = {
        int(n) for n in re.findall(rf"lib/{re.escape(planted.name)}:(\d+) looks like", message)
    }
    holding = {number for number, line in enumerate(lines, 1) if planted.secret in line}
    assert named & (holding | {number - 1 for number in holding})
    assert planted.secret not in message


def test_most_kinds_are_found_and_hardly_anything_harmless_is_accused() -> None:
    """The promise of the documentation; above each kind by its name."""
    assert len(PLANTED) >= 49
    assert len(HARMLESS) >= 45
    found = [p.kind for p in PLANTED if scan_file(p.name, p.content)]
    assert len(found) * 49 >= 42 * len(PLANTED), sorted({p.kind for p in PLANTED} - set(found))
    accused = [kind for kind, name, text in HARMLESS if scan_file(name, text.encode())]
    assert len(accused) * 45 <= 2 * len(HARMLESS), accused


@pytest.mark.parametrize(
    "content", [b"\0\1\2" + PLANTED[2].content, b"x" * 5000 + b"\0" + PLANTED[2].content]
)
def test_what_is_no_text_is_not_looked_into(content: bytes) -> None:
    assert scan_file("image.png", content) == ()
    assert scan_file("image.png", content.replace(b"\0", b"")) != ()


def test_a_file_that_the_settings_name_is_packed_and_the_reason_is_kept(
    source: Path, home: Path
) -> None:
    write(source, {"data/one.txt": text_of(PLANTED[2].content), "data/two.md": "nothing\n"})
    allowed = {"data/*.txt": "made up", "*": "another reason"}
    package = make_package(
        source, home=home, entry_point="process", runtime="python311", allowed=allowed
    )
    assert "data/one.txt" in package.files
    assert package.allowed_secrets == (("data/one.txt:1 looks like a Google API key", "made up"),)
    other = {"other/*": "made up"}
    with pytest.raises(ConfigError, match=r"data/one\.txt:1"):
        make_package(source, home=home, entry_point="process", runtime="python311", allowed=other)


def test_a_line_known_to_be_harmless_passes(source: Path, home: Path) -> None:
    line = f"X = '{ZAPIER}'  # pragma: allowlist secret\n"
    write(source, {"config.py": line})
    assert "config.py" in pack(source, home).files


def test_secrets_that_are_left_out_do_no_harm(source: Path, home: Path) -> None:
    write(source, {"key.txt": KEY, ".gcloudignore": "key.txt\n"})
    assert "key.txt" not in pack(source, home).files


def test_words_about_secrets_are_no_secrets(source: Path, home: Path) -> None:
    text = "password = os.environ['PASSWORD']\n# see https://zapier.com/app\nAPI_KEY = get()\n"
    write(source, {"config.py": text, "cert.txt": "-----BEGIN CERTIFICATE-----"})
    assert "config.py" in pack(source, home).files


# -- what Google's build accepts -------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "for process in [len]:\n    pass\n",
        "globals()['process'] = len\n",
        """\
def bind():
    global process
    process = len

bind()
""",
        """\
def __getattr__(name):
    return len
""",
        """\
import sys
setattr(sys.modules[__name__], 'process', len)
""",
        "match len:\n    case process:\n        pass\n",
        "while (process := len) is None:\n    pass\n",
    ],
)
def test_entry_point_that_the_text_only_hints_at_is_accepted(
    source: Path, home: Path, text: str
) -> None:
    write(source, {"main.py": text})
    assert pack(source, home).files == ("main.py", "requirements.txt")


def test_function_may_be_in_the_file_that_the_build_variable_names(
    source: Path, home: Path
) -> None:
    (source / "main.py").unlink()
    assert "no main.py" in refusal(source, home)
    write(source, {"app/handler.py": MAIN})
    found = make_package(
        source, home=home, entry_point="process", runtime="python312", source_file="app/handler.py"
    )
    assert found.files == ("app/handler.py", "requirements.txt")


@pytest.mark.parametrize(
    ("runtime", "dependencies", "said"),
    [
        ("python312", "['requests', 'functions-framework']", "does not read pyproject.toml"),
        ("python313", "['requests']", "does not name functions-framework"),
        ("python313", "7", "cannot be read"),
    ],
)
def test_pyproject_that_googles_build_would_not_install_is_refused(
    source: Path, home: Path, runtime: str, dependencies: str, said: str
) -> None:
    (source / "requirements.txt").unlink()
    write(source, {"pyproject.toml": f"[project]\ndependencies = {dependencies}\n"})
    with pytest.raises(ConfigError, match=said):
        pack(source, home, runtime=runtime)


@pytest.mark.parametrize(
    ("runtime", "dependencies"),
    [("python312", "[]"), ("python313", "['functions-framework==3.*', 'six']")],
)
def test_pyproject_that_googles_build_installs_is_packed(
    source: Path, home: Path, runtime: str, dependencies: str
) -> None:
    (source / "requirements.txt").unlink()
    write(source, {"pyproject.toml": f"[project]\ndependencies = {dependencies}\n"})
    assert pack(source, home, runtime=runtime).files == ("main.py", "pyproject.toml")
