# mypy: ignore-errors
# (another author has another style: no annotations)
"""Invoices to Google Sheets, written against the HTTP and sheet contract alone.

One file, text in layout mode, one regular expression a document kind: nothing is shared with the function in
``fixtures/``, so suites that pass with both depend on the contract and not on one implementation.
"""

import datetime as dt
import io
import ipaddress
import json
import logging
import os
import re
import socket
from urllib.parse import quote, urljoin, urlsplit

import flask
import functions_framework
import pypdf
import pypdf.errors
import requests

log = logging.getLogger(__name__)

PREFIX = "Document AI processing failed: "
AMOUNT = r"\$?([\d,]+\.\d\d)"
GAP = r"\s{2,}"

CC_ORDER = re.compile(
    rf"([A-Z]{{2}}\d{{4}}[A-Z]?)\s+(\d{{12}})\s+\w\s+(\d+)\s+\d+\s+(\d+)\s+\d+\s+\w+\s+{AMOUNT}\s+{AMOUNT}\s+{AMOUNT}"
)
CC_INVOICE = re.compile(
    rf"(\d{{12}})\s+(?:\S+\s+)?([A-Z]{{2}}\d{{4}}[A-Z]?)\s+(\d+)\s+\d+\s+\d+\s+\w+\s+{AMOUNT}\s+(?:[\d,.]+\s+)?{AMOUNT}\s+{AMOUNT}"
)
BOOK = re.compile(rf"\d+\s+(97[89]\d{{10}})\s+(.+?){GAP}(\d+)\s+{AMOUNT}\s+[\d.]+%\s+{AMOUNT}")
GIFT = re.compile(rf"(\S+)\s+(\d{{12}})\s+(\d+)\s+(?:EA|ST)\s+(.+?){GAP}{AMOUNT}\s+{AMOUNT}")
PAPER = re.compile(rf"([A-Z][A-Z0-9]+)\s+\d{{12}}\s+(.+?){GAP}(\d+)\s+{AMOUNT}\s+{AMOUNT}")
PAPER_NAME = re.compile(r"(.+?) \| .+? - #(\w+)")
PAPER_NUMBERS = re.compile(rf"([A-Z]{{2,4}}\d{{3,4}}) \d{{12}} {AMOUNT} (\d+) {AMOUNT}")
SECTION_BOOK = re.compile(rf"(97[89]\d{{10}})\s+(.+?){GAP}(\d+)\s+{AMOUNT}\s+{AMOUNT}")
ANY = re.compile(
    rf"([=+@-]?[A-Z0-9][A-Z0-9./-]*(?: [A-Z]{{1,4}})?){GAP}(.+?){GAP}(\d+)(?:\.0+)?\s+{AMOUNT}\s+{AMOUNT}"
)
ITEM_LIKE = re.compile(
    r"(?:\d{12}\s+(?:\S+\s+)?|\d{1,2}\s+)?[=+@-]?(?=\S*\d)[A-Z0-9][\w./-]*(?: [A-Z]{1,4})?\s{2,}.*\d\.\d\d"
)
SUM = re.compile(
    r"(?i)(?:^|.*\b)(?:sub-?total|total|merchandise|all invoices)\b[^\d$]*\$?\s*([\d,]+\.\d\d)"
)
NO_GOODS = re.compile(r"(?i)\b(?:ship|shipping|freight|tariff|surcharge)\b.*?([\d,]+\.\d\d)$")


class Problem(Exception):
    """Ends the request with an error."""

    def __init__(self, status, message):
        """Keep the status."""
        super().__init__(message)
        self.status = status


class Document:
    """The text of a PDF, and what all kinds of documents have in common."""

    def __init__(self, content):
        """Read ``content``."""
        if not content.rstrip(b"\r\n\0 ").endswith(b"%%EOF"):
            raise Problem(500, PREFIX + "incomplete file")
        try:
            reader = pypdf.PdfReader(io.BytesIO(content))
            pages = [page.extract_text(extraction_mode="layout") for page in reader.pages]
            self.pages = [page.replace("\r", " ") for page in pages]
        except pypdf.errors.FileNotDecryptedError as error:
            raise Problem(500, PREFIX + "password required") from error
        except Exception as error:
            log.warning("unreadable: %s", type(error).__name__)
            raise Problem(500, PREFIX + "broken file") from error
        self.text = "\n".join(self.pages)
        self.lines = [line.rstrip() for line in self.text.splitlines() if line.strip()]
        self.read = {}

    def match(self, pattern, line):
        """Match a line, and remember that it was read."""
        found = pattern.fullmatch(line.strip())
        if found:
            self.read[line.strip()] = found[pattern.groups]
        return found

    def doubts(self):
        """What makes the rows doubtful; a line that looks like an item and was not read ends the request."""
        for line in map(str.strip, self.lines):
            is_other = "TRF-CCOI" in line or SUM.fullmatch(line)
            if line not in self.read and not is_other and ITEM_LIKE.match(line):
                raise Problem(500, PREFIX + "a line cannot be read")
        sums = [amount(m[1]) for m in map(SUM.fullmatch, map(str.strip, self.lines)) if m]
        goods = sum(amount(text) for text in self.read.values())
        extra = sum(amount(m[1]) for m in map(NO_GOODS.search, self.lines) if m)
        near = 0.005 * len(self.read) + 0.001
        if sums and not any(abs(s - g) <= near for s in sums for g in (goods, goods + extra)):
            return ["the total is not that of the lines"]
        return []

    @property
    def title(self):
        """The name at the top."""
        return re.split(GAP, self.lines[0].strip())[0] if self.lines else ""

    def below(self, label, pattern):
        """The word that stands under (or behind) ``label``."""
        for number, line in enumerate(self.lines):
            at = line.find(label)
            if at < 0:
                continue
            if found := re.match(rf"[:#\s]*({pattern})", line[at + len(label) :]):
                return found[1]
            for lower in self.lines[number + 1 : number + 3]:
                if found := re.match(rf"\s*({pattern})(?:\s|$)", lower[max(at - 2, 0) :]):
                    return found[1]
        return "Unknown"

    def day(self, *labels):
        """The first date at one of ``labels``, as a date and as it is printed."""
        for label in labels:
            printed = self.below(label, r"\d{1,2}/\d{1,2}/\d{4}|[A-Z][a-z]+ \d{1,2}, \d{4}|4\d{4}")
            if printed.isdigit():
                return dt.date(1899, 12, 30) + dt.timedelta(int(printed)), printed
            for form in ("%m/%d/%Y", "%B %d, %Y"):
                try:
                    return dt.datetime.strptime(printed, form), printed  # noqa: DTZ007
                except ValueError:
                    pass
        return None, "Unknown"


def amount(text):
    """A number with or without commas."""
    return float(text.replace(",", ""))


def us(day):
    """1/17/2025."""
    return f"{day.month}/{day.day}/{day.year}" if day else "Unknown"


def creative_coop(doc):
    """Both kinds: [code, upc, words, quantity, price], sorted by code."""
    order = "ORDER CONFIRMATION" in doc.text
    found, current = [], None
    for line in doc.lines:
        words = line.strip()
        indent = len(line) - len(line.lstrip())
        if order and (m := doc.match(CC_ORDER, words)):
            current = [m[1], m[2], [], int(m[4]) or int(m[3]), m[6]]
            found.append(current)
        elif not order and (m := doc.match(CC_INVOICE, words)):
            current = [m[2], m[1], [], int(m[3]), m[5]]
            found.append(current)
        elif "TRF-CCOI" in line:
            current = None
        elif current and 3 <= indent <= 8 and not re.search(r"\s{3,}", words):
            current[2].append(words)
    number = doc.below("ORDER NO" if order else "INVOICE NO", r"C[SI]\d{9}")
    day = us(doc.day("ORDER DATE" if order else "INVOICE DATE")[0])
    rows = [
        [
            day,
            "Creative Co-op",
            number,
            f"{code} - UPC: 0{upc} - {' '.join(words)}",
            f"${price}",
            f"{n}",
        ]
        for code, upc, words, n, price in sorted(found)
        if n
    ]
    return "Creative Co-op", number, day, rows


def harpercollins(doc):
    """Half price, or whatever the discount is."""
    number = doc.below("Order #", r"[A-Z]{2}\d+")
    day = doc.day("Order Date")[0]
    shown = day.strftime("%m/%d/%y") if day else "Unknown"
    discount = re.search(r"Discount: ([\d.]+)%", doc.text)
    share = 1 - float(discount[1] if discount else 0) / 100
    books = sorted(m.groups() for m in (doc.match(BOOK, x) for x in doc.lines) if m)
    rows = [
        [shown, "HarperCollins", number, f"{isbn} - {title}", f"{float(price) * share:.2f}", int(n)]
        for isbn, title, n, price, _ in books
    ]
    return "HarperCollins", number, shown, rows


def onehundred80(doc):
    """Descriptions may go on under themselves."""
    number = doc.below("Purchase Order", r"\w+\d+")
    shown = doc.day("Date")[1]
    found = []
    for line in doc.lines:
        words = line.strip()
        if m := doc.match(GIFT, words):
            found.append([*m.groups()])
        elif found and len(line) - len(words) > 50 and not re.search(GAP, words):
            found[-1][3] += f" {words}"
    rows = [
        [shown, "One Hundred 80 Degrees", number, f"{sku} - UPC: 0{upc} - {words}", f"${price}", n]
        for sku, upc, n, words, price, _ in found
    ]
    return "OneHundred80", number, shown, rows


def rifle(doc):
    """Table, or names and numbers apart."""
    number = doc.below("Invoice #", r"\d{6,}")
    if number == "Unknown":
        number = doc.below("Invoice", r"[A-Z0-9]{10}")
    day = us(doc.day("Date", "placed on")[0])
    names = {m[2]: m[1] for m in (PAPER_NAME.fullmatch(x.strip()) for x in doc.lines) if m}
    if names:
        matches = [(line, m) for line in doc.lines for m in PAPER_NUMBERS.finditer(line)]
        found = [(m[1], names[m[1]], m[3], m[2]) for _, m in matches]
        if {code for code, *_ in found} != set(names):
            raise Problem(500, PREFIX + "a line cannot be read")
        doc.read |= {m[0]: m[4] for _, m in matches} | {line.strip(): "0" for line, _ in matches}
    else:
        found = [m.group(1, 2, 3, 4) for m in (doc.match(PAPER, x) for x in doc.lines) if m]
    who = "Rifle Paper Co."
    return who, number, day, [[day, who, number, f"{c} - {t}", f"${p}", n] for c, t, n, p in found]


def anyone(doc):
    """Everybody else."""
    day = us(doc.day("Invoice Date", "Date")[0])
    number = doc.below("Invoice No", r"[=+@-]?[A-Z0-9-]{5,}")
    if number == "Unknown":
        number = doc.below("Invoice #", r"[A-Z0-9-]{5,}")
    numbers, rows = [], []
    for line in doc.lines:
        words = line.strip()
        if m := re.match(r"Invoice # ?(\d+)$", words):
            number = m[1]
        elif m := doc.match(SECTION_BOOK, words):
            price = float(m[5].replace(",", "")) / int(m[3])
            rows.append([day, doc.title, number, f"{m[1]} - {m[2]}", f"${price:.2f}", m[3]])
        elif m := doc.match(ANY, words):
            price = m[4].replace(",", "")
            rows.append([day, doc.title, number, f"{m[1]} - {m[2]}", f"${price}", m[3]])
        if rows and rows[-1][2] not in numbers:
            numbers.append(rows[-1][2])
    return doc.title, ", ".join(numbers) or number, day, rows


def choose(doc):
    """Who sent it, by the name at the top."""
    name = doc.title.lower()
    if name.startswith("creative co-op"):
        return creative_coop
    if name.startswith("one hundred 80"):
        return onehundred80
    if name.startswith("rifle paper"):
        return rifle
    return harpercollins if re.search(r"MFR: HarperCollins\b", doc.text) else anyone


def check_host(url):
    """Refuse what is not http, or leads to an address that is not public."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Problem(400, "file_url must be http or https")
    allowed = os.environ.get("INVOICE_FILE_HOSTS", "").split(",")
    if parts.hostname in allowed or parts.netloc in allowed:
        return
    try:
        found = socket.getaddrinfo(parts.hostname, parts.port or 80)
    except OSError as error:
        raise Problem(500, "Failed to download PDF: unknown host") from error
    for entry in found:
        address = ipaddress.ip_address(entry[4][0].partition("%")[0])
        address = getattr(address, "ipv4_mapped", None) or address
        if not address.is_global or address.is_multicast:
            raise Problem(400, "file_url is not allowed")


def fetch(url):
    """Download, following redirects by hand so that each is checked."""
    name = url
    for _ in range(5):
        try:
            check_host(url)
            with requests.get(url, timeout=30, allow_redirects=False, stream=True) as response:
                if response.is_redirect:
                    url = urljoin(url, response.headers["Location"])
                    continue
                response.raise_for_status()
                content = b"".join(response.iter_content(1 << 16))
                kind = response.headers.get("Content-Type", "")
        except ValueError as error:
            raise Problem(400, "file_url is not a URL") from error
        except requests.HTTPError as error:
            raise Problem(500, f"Failed to download PDF: {error.response.status_code}") from error
        except requests.RequestException as error:
            raise Problem(500, f"Failed to download PDF: {type(error).__name__}") from error
        if "pdf" not in kind and not urlsplit(name).path.lower().endswith(".pdf"):
            raise Problem(400, "Downloaded file is not a PDF")
        return content
    raise Problem(500, "Failed to download PDF: too many redirects")


def receive(request):
    """The bytes of the document."""
    upload = request.files.get("invoice_file")
    if upload and upload.filename:
        content = upload.read()
    else:
        try:
            body = request.get_json(silent=True)
        except RecursionError:
            body = None
        url = request.form.get("file_url") or request.form.get("invoice_file")
        url = url or (body.get("file_url") if isinstance(body, dict) else None)
        if not isinstance(url, str) or not url.strip():
            raise Problem(400, "Missing invoice_file or file_url")
        content = fetch(url.strip())
    if not content:
        raise Problem(400, "Empty file received")
    return content


def write(rows):
    """One append."""
    base = os.environ.get("GOOGLE_SHEETS_API_ENDPOINT", "https://sheets.googleapis.com").rstrip("/")
    tab = quote(f"'{os.environ.get('GOOGLE_SHEETS_SHEET_NAME', 'Sheet1')}'!B:G", safe="")
    book = os.environ["GOOGLE_SHEETS_SPREADSHEET_ID"]
    session = requests.Session()
    if base.startswith("https:"):
        import google.auth
        import google.auth.transport.requests as transport

        scopes = ["https://www.googleapis.com/auth/spreadsheets"]
        session = transport.AuthorizedSession(google.auth.default(scopes=scopes)[0])
    url = f"{base}/v4/spreadsheets/{book}/values/{tab}:append"
    options = {"valueInputOption": "USER_ENTERED", "insertDataOption": "INSERT_ROWS"}
    quoted = [[f"'{v}" if n in (1, 2, 3) else v for n, v in enumerate(row)] for row in rows]
    try:
        response = session.post(url, params=options, json={"values": quoted}, timeout=60)
    except requests.RequestException as error:
        what = f"{type(error).__name__}; whether rows were written is not known"
        raise Problem(500, f"Failed to write to Google Sheets: {what}") from error
    if response.status_code >= 500:
        what = f"HTTP {response.status_code}; whether rows were written is not known"
        raise Problem(500, f"Failed to write to Google Sheets: {what}")
    if response.status_code != 200:
        raise Problem(500, f"Failed to write to Google Sheets: HTTP {response.status_code}")
    place = response.json()["updates"]["updatedRange"].rpartition("!")[2]
    return [] if re.fullmatch(r"B\d+:G\d+", place) else [f"the rows stand in {place}"]


def handle(request):
    """From the request to the answer's body."""
    if request.method != "POST":
        raise Problem(405, "Method Not Allowed")
    content = receive(request)
    names = ["GOOGLE_CLOUD_PROJECT_ID", "DOCUMENT_AI_PROCESSOR_ID", "GOOGLE_SHEETS_SPREADSHEET_ID"]
    if not all(os.environ.get(name) for name in names):
        raise Problem(500, f"Missing required environment variables: {', '.join(names)}")
    doc = Document(content)
    vendor, number, day, rows = choose(doc)(doc)
    if not rows:
        return {"warning": "No line items found in invoice", "text": doc.text}
    doubts = doc.doubts()
    doubts += write(rows)
    return {
        **({"warnings": doubts} if doubts else {}),
        "message": "Invoice processed and added to sheet",
        "rows_added": len(rows),
        "vendor": vendor,
        "invoice_number": number,
        "invoice_date": day,
    }


@functions_framework.http
def process_invoice(request):
    """Entry point."""
    status = 200
    try:
        body = handle(request)
    except Problem as problem:
        status, body = problem.status, {"error": str(problem)}
    except Exception:
        log.exception("request failed")
        status, body = 500, {"error": "Internal error"}
    return flask.Response(json.dumps(body), status, content_type="application/json")
