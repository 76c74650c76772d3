"""Projects with a history, built once and copied for each test."""

from pathlib import Path

import pytest

from tests.cli.cli_project import Shop


@pytest.fixture(scope="session")
def _released(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    shop = Shop.build(tmp_path_factory.mktemp("released") / "shop")
    for source in ("v1", "v2"):
        done = shop.deploy(source)
        assert done.status == 0, done.out + done.err
    return shop


@pytest.fixture
def new(tmp_path: Path) -> Shop:
    """A project in which nothing was deployed."""
    return Shop.build(tmp_path / "shop")


@pytest.fixture
def shop(_released: Shop, tmp_path: Path) -> Shop:
    """A project with two releases: svc-00001 and, serving, svc-00002."""
    return _released.copy(tmp_path / "shop")
