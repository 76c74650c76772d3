"""``process_invoice`` over HTTP, as it is deployed: what it answers and what it writes to the sheet."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import cast
from urllib.parse import quote

import jsonschema
import pytest
import requests

from tests.suites.invoice_function import (
    EXPECTED,
    FUNCTION,
    SCHEMAS,
    SHEET_ID,
    TAB,
    Function,
    KeptSheet,
    golden,
    golden_rows,
    outcome_of,
    pdf,
    running,
)

NAMES = sorted(path.stem for path in EXPECTED.glob("*.json"))
READABLE = [name for name in NAMES if outcome_of(name)["kind"] == "success"]
ANSWER = jsonschema.Draft202012Validator(
    json.loads((SCHEMAS / "answer.schema.json").read_text("utf-8"))
)
MISSING = {"error": "Missing invoice_file or file_url"}
BOOKS = "harpercollins_NS4435067"


def answer_of(response: requests.Response) -> dict[str, object]:
    """The JSON of an answer, which must keep to the schema and name the revision."""
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["X-Revision"] == "process-invoice-00007-abc"
    body = cast("dict[str, object]", response.json())
    ANSWER.validate(body)
    return body


@pytest.mark.parametrize("name", READABLE)
def test_invoice_gives_exactly_its_golden_rows_in_columns_b_to_g(
    function: Function, sheet: KeptSheet, name: str
) -> None:
    truth = golden(name)
    with sheet.watched() as appends:
        response = function.upload(pdf(name))
    body = answer_of(response)
    assert response.status_code == 200
    (append,) = appends
    assert append.text == golden_rows(name)
    assert (append.spreadsheet, append.range) == (SHEET_ID, f"'{TAB}'!B:G")
    assert append.options == {
        "valueInputOption": ["USER_ENTERED"],
        "insertDataOption": ["INSERT_ROWS"],
    }
    assert append.authorization is None
    rows = len(append.rows)
    assert body["message"] == "Invoice processed and added to sheet"
    assert (body["rows_added"], body["updated_range"]) == (rows, f"'{TAB}'!B2:G{rows + 1}")
    answered = (body["vendor"], body["invoice_number"], body["invoice_date"])
    assert answered == (truth["answer_vendor"], truth["invoice_number"], truth["date_text"])
    fields = ("code", "upc", "description", "quantity", "unit_price")
    items = cast("list[dict[str, object]]", truth["line_items"])
    assert body["line_items"] == [{field: item[field] for field in fields} for item in items]


def test_quantity_is_a_number_for_books_and_text_elsewhere(
    function: Function, sheet: KeptSheet
) -> None:
    with sheet.watched() as appends:
        function.upload(pdf(BOOKS))
        function.upload(pdf("creative_coop_CI004848705"))
    books, products = appends
    assert books.rows[0][5] == 3
    assert books.rows[0][4] == "5.00"
    assert products.rows[0][4:] == ["$3.20", "12"]


@pytest.mark.parametrize(
    ("name", "status", "body"),
    [
        ("empty", 400, {"error": "Empty file received"}),
        ("text_file", 400, {"error": "Uploaded file is not a PDF"}),
        (
            "encrypted",
            500,
            {"error": "Document AI processing failed: the PDF is encrypted and needs a password"},
        ),
        (
            "truncated",
            500,
            {"error": "Document AI processing failed: the PDF is incomplete: its end is missing"},
        ),
        ("blank", 200, {"warning": "No line items found in invoice", "text": ""}),
        ("scanned", 200, {"warning": "No line items found in invoice", "text": ""}),
    ],
)
def test_unreadable_document_is_answered_cleanly_and_writes_nothing(
    function: Function, sheet: KeptSheet, name: str, status: int, body: dict[str, object]
) -> None:
    with sheet.watched() as appends:
        response = function.upload(pdf(name))
    assert (response.status_code, answer_of(response)) == (status, body)
    outcome = cast("dict[str, list[int]]", golden(name)["outcome"])
    assert status in outcome["statuses"]
    assert appends == []


def test_damaged_pdf_fails_cleanly(function: Function, sheet: KeptSheet) -> None:
    with sheet.watched() as appends:
        response = function.upload(b"%PDF-1.4\n" + b"\x00\xff" * 500 + b"\n%%EOF\n")
    assert response.status_code == 500
    assert answer_of(response) == {"error": "Document AI processing failed: the PDF is damaged"}
    assert appends == []


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods_are_refused(function: Function, method: str) -> None:
    response = requests.request(method, function.url, timeout=10)
    assert (response.status_code, answer_of(response)) == (405, {"error": "Method Not Allowed"})


def test_head_is_refused(function: Function) -> None:
    assert requests.head(function.url, timeout=10).status_code == 405


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", None),
        (b"{}", "application/json"),
        (b"{broken", "application/json"),
        (b"[1]", "application/json"),
        (b'"text"', "application/json"),
        (b"null", "application/json"),
        (b'{"file_url": 7}', "application/json"),
        (b'{"file_url": "  "}', "application/json"),
        (b"\xff\xfe", "application/json"),
        (b"note=hello", "application/x-www-form-urlencoded"),
        (b"file_url=", "application/x-www-form-urlencoded"),
        (b"\x00garbage", "application/octet-stream"),
        (b"not multipart", "multipart/form-data; boundary=x"),
        (b"not multipart", "multipart/form-data"),
    ],
)
def test_request_without_a_document_is_refused(
    function: Function, content: bytes, kind: str | None
) -> None:
    headers = {"Content-Type": kind} if kind else {}
    response = requests.post(function.url, data=content, headers=headers, timeout=10)
    assert (response.status_code, answer_of(response)) == (400, MISSING)


def test_upload_under_another_field_or_without_a_name_is_refused(function: Function) -> None:
    other = requests.post(function.url, files={"file": ("a.pdf", pdf(BOOKS))}, timeout=10)
    envelope = b'--x\r\nContent-Disposition: form-data; name="invoice_file"; filename=""\r\n\r\n%PDF-\r\n--x--'
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    nameless = requests.post(function.url, data=envelope, headers=kind, timeout=10)
    for response in (other, nameless):
        assert (response.status_code, answer_of(response)) == (400, MISSING)


@pytest.mark.parametrize("field", ["invoice_file", "another"])
def test_upload_above_20_mb_is_refused(function: Function, field: str) -> None:
    files = {field: ("a.pdf", b"%PDF-" + b" " * (21 << 20))}
    response = requests.post(function.url, files=files, timeout=60)
    assert response.status_code == 413
    assert answer_of(response) == {"error": "File is larger than 20 MB"}


WAYS: dict[str, Callable[[str, str], requests.Response]] = {
    "form file_url": lambda to, url: requests.post(to, data={"file_url": url}, timeout=60),
    "form invoice_file": lambda to, url: requests.post(to, data={"invoice_file": url}, timeout=60),
    "multipart file_url": lambda to, url: requests.post(
        to, files={"file_url": (None, url)}, timeout=60
    ),
    "json file_url": lambda to, url: requests.post(to, json={"file_url": url}, timeout=60),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "path",
    [
        f"/{BOOKS}.pdf",
        f"/{BOOKS}.pdf?token=a%20b&x=1",
        f"/typed/{BOOKS}",
        f"/octets/{BOOKS}.pdf",
        f"/moved?to=/moved?to=/{BOOKS}.pdf",
    ],
)
def test_document_behind_a_url_gives_the_same_rows(
    function: Function, sheet: KeptSheet, way: str, path: str
) -> None:
    with sheet.watched() as appends:
        response = WAYS[way](function.url, function.files + path)
    assert answer_of(response)["rows_added"] == 23
    assert [append.text for append in appends] == [golden_rows(BOOKS)]


@pytest.mark.parametrize(
    ("path", "status", "error"),
    [
        ("/page", 400, "Downloaded file is not a PDF"),
        ("/octets/text_file.pdf", 400, "Downloaded file is not a PDF"),
        (f"/untyped/{BOOKS}", 400, "Downloaded file is not a PDF"),
        ("/empty.pdf", 400, "Empty file received"),
        ("/huge.pdf", 400, "Downloaded file is larger than 20 MB"),
        ("/status/404", 500, "Failed to download PDF: HTTP 404 Not Found"),
        ("/status/401", 500, "Failed to download PDF: HTTP 401 Unauthorized"),
        ("/status/503", 500, "Failed to download PDF: HTTP 503 Service Unavailable"),
        ("/loop", 500, "Failed to download PDF: more than 5 redirects"),
        ("/cut.pdf", 500, "Failed to download PDF: the transfer failed"),
    ],
)
def test_download_that_fails_says_why_and_keeps_the_url_to_itself(
    function: Function, sheet: KeptSheet, path: str, status: int, error: str
) -> None:
    url = f"{function.files}{path}?token=hush-hush"
    with sheet.watched() as appends:
        response = requests.post(function.url, json={"file_url": url}, timeout=60)
    assert (response.status_code, answer_of(response)) == (status, {"error": error})
    assert appends == []


def test_download_from_a_port_where_nothing_listens_fails(
    function: Function, sheet: KeptSheet
) -> None:
    with running(FUNCTION, sheet, "http://localhost") as other:
        body = {"file_url": "http://localhost:9/a.pdf?token=hush-hush"}
        response = requests.post(other.url, json=body, timeout=60)
    error = "Failed to download PDF: cannot connect or the connection broke"
    assert (response.status_code, answer_of(response)) == (500, {"error": error})


@pytest.mark.parametrize(
    "removed",
    ["GOOGLE_CLOUD_PROJECT_ID", "DOCUMENT_AI_PROCESSOR_ID", "GOOGLE_SHEETS_SPREADSHEET_ID"],
)
def test_missing_setting_is_named_only_once_there_is_a_document(
    sheet: KeptSheet, files: str, removed: str
) -> None:
    with running(FUNCTION, sheet, files, **{removed: None}) as bare, sheet.watched() as appends:
        without = requests.post(bare.url, timeout=10)
        response = bare.upload(pdf(BOOKS))
    assert (without.status_code, without.json()) == (400, MISSING)
    assert response.status_code == 500
    assert answer_of(response) == {
        "error": "Missing required environment variables: GOOGLE_CLOUD_PROJECT_ID, "
        "DOCUMENT_AI_PROCESSOR_ID, GOOGLE_SHEETS_SPREADSHEET_ID"
    }
    assert appends == []


def test_revision_is_named_only_where_the_platform_gives_one(sheet: KeptSheet, files: str) -> None:
    settings = {"K_REVISION": None, "GOOGLE_SHEETS_SHEET_NAME": "O'Brien, 2025"}
    with running(FUNCTION, sheet, files, **settings) as local, sheet.watched() as appends:
        response = local.upload(pdf(BOOKS))
    assert response.status_code == 200
    assert "X-Revision" not in response.headers
    assert appends[0].range == "'O''Brien, 2025'!B:G"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (
            (503, b'{"error": {"status": "UNAVAILABLE", "message": "hush-hush"}}'),
            "HTTP 503 UNAVAILABLE",
        ),
        ((429, b"slow down"), "HTTP 429"),
        ((403, b'{"error": {"status": "PERMISSION_DENIED"}}'), "HTTP 403 PERMISSION_DENIED"),
        ((302, b""), "HTTP 302"),
    ],
)
def test_append_that_fails_is_an_error_and_is_not_repeated(
    function: Function, sheet: KeptSheet, answer: tuple[int, bytes], error: str
) -> None:
    sheet.answer, sheet.location = answer, f"{function.files}/{BOOKS}.pdf"
    with sheet.watched() as appends:
        response = function.upload(pdf(BOOKS))
    assert response.status_code == 500
    assert answer_of(response) == {"error": f"Failed to write to Google Sheets: {error}"}
    assert len(appends) == 1


def test_append_whose_answer_is_lost_is_not_repeated(function: Function, sheet: KeptSheet) -> None:
    sheet.drop = True
    with sheet.watched() as appends:
        response = function.upload(pdf(BOOKS))
    assert response.status_code == 500
    assert "whether rows were written is not known" in str(answer_of(response)["error"])
    assert len(appends) == 1


@pytest.mark.parametrize(
    ("change", "status"),
    [({}, 200), ({5: 99}, 500), ({4: 0.01}, 500), ({2: "NS1"}, 500)],
    ids=["as sent", "another quantity", "another price", "another number"],
)
@pytest.mark.parametrize("name", [BOOKS, "onehundred80_1T25194476NCHR"], ids=["plain", "dollars"])
def test_append_whose_answer_is_lost_is_looked_for_by_all_that_it_says(
    function: Function, sheet: KeptSheet, name: str, change: dict[int, object], status: int
) -> None:
    rows: list[list[object]] = [
        [45776, *row[1:4], float(row[4].replace("$", "")), int(row[5])] for row in golden_rows(name)
    ]
    for place, value in change.items():
        rows[-1][place] = value
    sheet.drop, sheet.kept = True, [["Date"], *rows]
    response = function.upload(pdf(name))
    assert response.status_code == status
    found = f"'Update 20230525'!B2:G{len(rows) + 1}" if status == 200 else None
    assert answer_of(response).get("updated_range") == found


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"updates": null}', b'{"updates": {"updatedRows": "x"}}']
)
def test_success_is_told_whatever_the_append_answers_once_rows_are_written(
    function: Function, sheet: KeptSheet, body: bytes
) -> None:
    sheet.answer = (200, body)
    response = function.upload(pdf(BOOKS))
    assert response.status_code == 200
    assert answer_of(response)["rows_added"] == 23
    assert answer_of(response)["warnings"] == [
        "the sheet did not say in which columns the rows stand"
    ]


def test_token_never_goes_to_a_plain_http_endpoint_elsewhere(sheet: KeptSheet, files: str) -> None:
    endpoint = {"GOOGLE_SHEETS_API_ENDPOINT": "http://sheets.example.com"}
    with running(FUNCTION, sheet, files, **endpoint) as function:
        response = function.upload(pdf(BOOKS))
    assert response.status_code == 500
    assert "plain http must be on this machine" in str(answer_of(response)["error"])


def test_ten_invoices_at_once_do_not_mix(function: Function, sheet: KeptSheet) -> None:
    names = [*READABLE, "scanned", "encrypted", BOOKS][:12] * 2
    with sheet.watched() as appends, ThreadPoolExecutor(10) as pool:
        responses = list(pool.map(lambda name: function.upload(pdf(name)), names))
    statuses = dict(zip(names, (response.status_code for response in responses), strict=True))
    assert statuses == {name: 500 if name == "encrypted" else 200 for name in names}
    expected = [golden_rows(name) for name in names if name in READABLE]
    assert sorted(append.text for append in appends) == sorted(expected)
    assert function.process.poll() is None


def test_same_invoice_twice_gives_identical_rows(function: Function, sheet: KeptSheet) -> None:
    with sheet.watched() as appends:
        for _ in range(2):
            function.upload(pdf("creative_coop_CS003837319"))
    assert appends[0].rows == appends[1].rows


@pytest.fixture
def internal(sheet: KeptSheet) -> str:
    """Port of a server inside the network that must never be asked."""
    return sheet.url.rpartition(":")[2]


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{}/a.pdf",
        "http://localhost:{}/a.pdf",
        "http://[::1]:{}/a.pdf",
        "http://[::ffff:127.0.0.1]:{}/a.pdf",
        "http://0.0.0.0:{}/a.pdf",
        "http://2130706433:{}/a.pdf",
        "http://0x7f000001:{}/a.pdf",
        "http://127.1:{}/a.pdf",
        "http://user:word@127.0.0.1:{}/a.pdf",
        "https://127.0.0.1:{}/a.pdf",
        "http://169.254.169.254/computeMetadata/v1/?x={}",
        "http://10.0.0.1/{}",
        "http://172.16.0.1/{}",
        "http://192.168.0.1/{}",
        "http://100.100.100.200/{}",
        "http://168.63.129.16/{}",
        "http://224.0.0.1/{}",
        "http://[fd00:ec2::254]/{}",
        "http://[64:ff9b::7f00:1]/{}",
    ],
)
@pytest.mark.parametrize("redirected", [False, True], ids=["direct", "redirected"])
def test_address_inside_the_network_is_refused(
    function: Function, internal: str, url: str, *, redirected: bool
) -> None:
    url = url.format(internal)
    asked = f"{function.files}/moved?to={quote(url, safe='')}" if redirected else url
    response = requests.post(function.url, json={"file_url": asked}, timeout=60)
    error = "file_url leads to an address that is not public"
    assert (response.status_code, answer_of(response)) == (400, {"error": error})


@pytest.mark.parametrize(
    ("url", "redirected"),
    [
        ("file:///etc/passwd", False),
        ("file:///etc/passwd", True),
        ("ftp://example.com/a.pdf", False),
        ("ftp://example.com/a.pdf", True),
        ("gopher://x/", False),
        ("a.pdf", False),
        ("http://", False),
        ("http://[x/", False),
        ("http://[x/", True),
    ],
)
def test_scheme_other_than_http_is_refused(function: Function, url: str, redirected: bool) -> None:
    asked = f"{function.files}/moved?to={quote(url, safe='')}" if redirected else url
    response = requests.post(function.url, data={"file_url": asked}, timeout=60)
    assert response.status_code == 400
    assert "URL" in str(answer_of(response)["error"])
