"""What is built is what was shipped: every byte that can be installed, and what Google's build reads."""

import base64
import hashlib
import io
import zipfile

import pytest
from google.api_core import exceptions

from tests.emulator.emulator_driver import Driver

_MAIN = """
import mylib

def hello(request):
    return {"revision": "", "value": mylib.VALUE}
"""
_WHEEL = "vendor/mylib-1.0-py3-none-any.whl"


def _wheel(value: int) -> bytes:
    """A wheel of mylib 1.0, whose ``VALUE`` says which one it is."""
    info = "mylib-1.0.dist-info"
    files = {
        "mylib.py": f"VALUE = {value}\n",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: mylib\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    lines = []
    for name, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=")
        lines.append(f"{name},sha256={digest.decode()},{len(text)}")
    files[f"{info}/RECORD"] = "\n".join([*lines, f"{info}/RECORD,,"])
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name), text)
    return buffer.getvalue()


def _archive(files: dict[str, str | bytes], executable: str = "") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            member = zipfile.ZipInfo(name)
            member.external_attr = (0o100755 if name == executable else 0o100644) << 16
            archive.writestr(member, content)
    return buffer.getvalue()


def _answer(driver: Driver, function_id: str, archive: bytes) -> object:
    """Deploy, open, call."""
    function = driver.create(driver.function(function_id, archive))
    driver.open(function.service_config.service)
    answer = driver.get(function.service_config.uri)
    assert answer.ok, answer.text
    return answer.json()["value"]


@pytest.mark.parametrize(
    "requirements",
    [
        pytest.param("vendor/mylib-1.0-py3-none-any.whl\n", id="path"),
        pytest.param("--find-links vendor\nmylib==1.0\n", id="find-links", marks=pytest.mark.full),
    ],
)
def test_wheel_in_the_source_is_the_one_that_was_shipped(
    driver: Driver, function_id: str, requirements: str
) -> None:
    def archive(value: int) -> bytes:
        return _archive({"main.py": _MAIN, "requirements.txt": requirements, _WHEEL: _wheel(value)})

    assert _answer(driver, function_id, archive(1)) == 1
    driver.update(driver.function(function_id, archive(2)), "build_config")
    uri = driver.functions.get_function(
        name=driver.function(function_id).name, timeout=20
    ).service_config.uri
    assert driver.get(uri).json()["value"] == 2
    assert _answer(driver, f"{function_id}b", archive(3)) == 3


def test_requirements_with_hashes_leave_the_framework_alone(
    driver: Driver, function_id: str
) -> None:
    wheel = _wheel(4)
    digest = hashlib.sha256(wheel).hexdigest()
    requirements = f"--find-links vendor\nmylib==1.0 --hash=sha256:{digest}\n"
    archive = _archive({"main.py": _MAIN, "requirements.txt": requirements, _WHEEL: wheel})
    assert _answer(driver, function_id, archive) == 4


def test_path_outside_of_the_source_is_refused(driver: Driver, function_id: str) -> None:
    requirements = "mylib @ file:///srv/libs/mylib-1.0-py3-none-any.whl\n"
    archive = _archive({"main.py": _MAIN, "requirements.txt": requirements})
    with pytest.raises(exceptions.InvalidArgument, match="not part of the source"):
        driver.create(driver.function(function_id, archive))


def _pyproject(*dependencies: str) -> str:
    return f'[project]\nname = "f"\nversion = "1"\ndependencies = {list(dependencies)}\n'


def test_pyproject_is_installed_from_python_3_13_on(driver: Driver, function_id: str) -> None:
    main = """\
import six

def hello(request):
    return {'value': six.__version__}
"""
    files: dict[str, str | bytes] = {
        "main.py": main,
        "pyproject.toml": _pyproject("functions-framework", "six==1.17.0"),
    }
    wanted = driver.function(function_id, _archive(files), runtime="python313")
    function = driver.create(wanted)
    driver.open(function.service_config.service)
    assert driver.get(function.service_config.uri).json()["value"] == "1.17.0"
    older = driver.function(f"{function_id}o", _archive(files), runtime="python312")
    with pytest.raises(exceptions.InvalidArgument, match="No module named 'six'"):
        driver.create(older)


def test_pyproject_without_the_framework_is_refused(driver: Driver, function_id: str) -> None:
    files: dict[str, str | bytes] = {"main.py": _MAIN, "pyproject.toml": _pyproject("six")}
    wanted = driver.function(function_id, _archive(files), runtime="python313")
    with pytest.raises(exceptions.InvalidArgument, match="do not include functions-framework"):
        driver.create(wanted)


def test_function_is_in_the_file_that_the_build_variable_names(
    driver: Driver, function_id: str
) -> None:
    main = """\
def hello(request):
    return {'value': __name__}
"""
    wanted = driver.function(function_id, _archive({"app/handler.py": main}))
    with pytest.raises(exceptions.InvalidArgument, match=r"main\.py is missing"):
        driver.create(wanted)
    wanted = driver.function(f"{function_id}x", _archive({"app/handler.py": main}))
    wanted.build_config.environment_variables = {"GOOGLE_FUNCTION_SOURCE": "app/handler.py"}
    function = driver.create(wanted)
    driver.open(function.service_config.service)
    assert driver.get(function.service_config.uri).json()["value"] == "handler"


def test_executable_file_can_be_executed(driver: Driver, function_id: str) -> None:
    main = """
import subprocess

def hello(request):
    return {"value": subprocess.run(["./tool.sh"], capture_output=True, text=True).stdout}
"""
    files: dict[str, str | bytes] = {"main.py": main, "tool.sh": "#!/bin/sh\necho ran\n"}
    assert _answer(driver, function_id, _archive(files, executable="tool.sh")) == "ran\n"


@pytest.mark.parametrize(
    "names",
    [["main.py", "a", "a/b"], ["main.py", "x" * 300], ["main.py", "d/" * 700 + "f"]],
    ids=["file-and-folder", "long-name", "long-path"],
)
def test_archive_that_no_directory_can_hold_is_refused_as_a_build(
    driver: Driver, function_id: str, names: list[str]
) -> None:
    files: dict[str, str | bytes] = dict.fromkeys(
        names,
        """\
def hello(r):
    return ''
""",
    )
    with pytest.raises(exceptions.InvalidArgument, match="the archive holds"):
        driver.create(driver.function(function_id, _archive(files)))
