"""The function as it would be deployed, on every golden document, before anything is deployed."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from pytest_deploygate.checks.accuracy import AccuracyReport, Record
from pytest_deploygate.checks.deployment import Deployment
from suites.invoices import VendorProfile, golden, vendors
from suites.support.placeholder import find_placeholders
from suites.support.profile import profile
from suites.support.rows import compare_lines

if TYPE_CHECKING:
    from suites.readiness.conftest import OfflineRun

FIELDS = ("description", "price", "quantity")
JUDGED = [vendor for vendor in vendors() if vendor.accuracy is not None]


def by_key(vendor: VendorProfile) -> str:
    return vendor.key


@pytest.fixture(scope="module")
def reports(offline: "OfflineRun") -> dict[str, AccuracyReport]:
    names = [document for vendor in JUDGED for document in vendor.documents]
    return {
        name: compare_lines(golden(name).records, offline.results[name].records) for name in names
    }


@pytest.fixture(scope="module")
def together(offline: "OfflineRun") -> AccuracyReport:
    """All documents of all vendors with a reader, as one list."""
    names = [document for vendor in JUDGED for document in vendor.documents]
    truth: list[Record] = [record for name in names for record in golden(name).records]
    return compare_lines(
        truth, [record for name in names for record in offline.results[name].records]
    )


def test_accuracy_over_all_documents(
    together: AccuracyReport, measure: Callable[..., None]
) -> None:
    measure("accuracy_score", float(together.overall))
    assert together.overall >= profile().limit("least-overall"), together.explain()


@pytest.mark.parametrize("field", FIELDS)
def test_accuracy_of_field_over_all_documents(together: AccuracyReport, field: str) -> None:
    assert together.accuracy(field) >= profile().limit(f"least-{field}"), together.explain()


@pytest.mark.parametrize("field", FIELDS)
def test_accuracy_of_field_of_the_big_order(reports: dict[str, AccuracyReport], field: str) -> None:
    report = reports[profile().roles.order]
    assert report.accuracy(field) >= profile().limit(f"least-{field}"), report.explain()


def test_big_order_has_enough_rows_and_no_placeholders(offline: "OfflineRun") -> None:
    result = offline.results[profile().roles.order]
    assert len(result.rows) >= profile().limit("least-items")
    found = find_placeholders(golden(profile().roles.order).records, result.records)
    assert found.is_clean, found.findings


@pytest.mark.parametrize("vendor", JUDGED, ids=by_key)
def test_accuracy_of_vendor(
    vendor: VendorProfile, reports: dict[str, AccuracyReport], subtests: pytest.Subtests
) -> None:
    assert vendor.accuracy is not None
    for document in vendor.documents:
        with subtests.test(document=document):
            assert reports[document].overall >= vendor.accuracy, reports[document].explain()


@pytest.mark.parametrize("vendor", vendors(), ids=by_key)
def test_outcome_of_every_document(
    vendor: VendorProfile, offline: "OfflineRun", subtests: pytest.Subtests
) -> None:
    for document in vendor.documents:
        with subtests.test(document=document):
            result, truth = offline.results[document], golden(document)
            assert result.status in {*truth.statuses, 200}
            if truth.kind == "doubtful":
                is_whole = bool(truth.rows) and len(result.rows) == truth.rows
                assert is_whole or result.has_warnings or not result.rows
            elif truth.kind != "success":
                assert result.rows == ()
            assert bool(result.rows) == (result.status == 200 and not result.is_warning)


@pytest.mark.parametrize("vendor", JUDGED, ids=by_key)
def test_rows_are_written_once_in_their_columns(
    vendor: VendorProfile, offline: "OfflineRun"
) -> None:
    for document in vendor.documents:
        result = offline.results[document]
        assert result.appends == 1, document
        assert [row.cells for row in result.rows if not row.is_in_place] == []


def test_memory(
    offline: "OfflineRun", deployment: Deployment, measure: Callable[..., None]
) -> None:
    measure("offline_memory_mb", offline.memory_peak_mb, unit="MB")
    assert offline.memory_peak_mb < min(
        float(profile().limit("most-memory-mb")), deployment.memory_mb
    )


def test_time(offline: "OfflineRun", measure: Callable[..., None]) -> None:
    slowest = max(result.seconds for result in offline.results.values())
    measure("offline_slowest_s", slowest, unit="s")
    assert slowest < profile().limit("longest-s")
