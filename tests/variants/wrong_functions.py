"""Wrong functions: small patches of the sample function, each with the gate and the check that must catch it.

``since`` names the incident of the function's history, or its measured defect, that a variant repeats.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """Replace ``old`` once in ``file``; without ``old`` the text is added at the end, or makes a new file."""

    file: str
    old: str = ""
    new: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrong:
    """A wrong function: what is wrong, the gate that refuses it, and checks of that gate of which one must fail."""

    name: str
    gate: str
    check: str
    """Expression for ``-k``: the checks that are run."""
    patches: tuple[Patch, ...]
    is_each: bool = False
    """Whether each of these checks must fail, not one of them."""
    since: str = ""
    baseline: Mapping[str, float] = field(default_factory=dict)


MAIN, SHEET, DOWNLOAD, NETWORK = "main.py", "sheet.py", "download.py", "network.py"
CREATIVE = "invoice_reader/creative_coop.py"
HARPER = "invoice_reader/harpercollins.py"
GIFTS = "invoice_reader/onehundred80.py"
RIFLE = "invoice_reader/rifle_paper.py"
DETECT = "invoice_reader/detect.py"
TABLE = "invoice_reader/table.py"
READER = "invoice_reader/reader.py"

_SORTED = "    items.sort(key=lambda item: item.code)\n"
_EXTRACT = "        invoice = extract(pdf)\n"
_PAPER = "    return generic.build(lines, items, vendor=VENDOR, amounts=amounts)\n"
_APPEND = "        appended = sheet.append(_sheet(), invoice.rows)\n"


def _items(code: str) -> Patch:
    """Do something with the items of a Creative-Coop document."""
    return Patch(
        file=CREATIVE,
        old=_SORTED,
        new=f"{_SORTED}    from dataclasses import replace\n    {code}\n",
    )


def _rows(expression: str) -> Patch:
    """Append other rows than were read; the answer stays."""
    return Patch(
        file=MAIN,
        old="sheet.append(_sheet(), invoice.rows)",
        new=f"sheet.append(_sheet(), {expression})",
    )


_KEY = "-----BEGIN PRIVATE KEY-----\\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\\n-----END PRIVATE KEY-----"
_COMPLETENESS = "invoice_reader/completeness.py"
_NO_LINE_LOOKS_LIKE_AN_ITEM = (
    Patch(
        file=_COMPLETENESS,
        old="_looks_like_an_item(one) if isinstance(one, Rest) else _has_no_amount(one)",
        new="False",
    ),
)
_NO_TOTAL_IS_WRONG = (
    Patch(file=_COMPLETENESS, old="    if not sums or any(", new="    if sums or not sums or any("),
)
_WHOLE_NUMBERS_ONLY = (Patch(file="invoice_reader/fields.py", old="(?:\\.0+)?", new=""),)


def _only(file: str, item: str, count: str, price: str) -> tuple[Patch, ...]:
    """What cannot be read is no item, instead of ending the document; ``item`` is how the reader tells an item."""
    numbers = f"fields.count(cells.get('{count}', '')), fields.money(cells.get('{price}', ''))"
    new = f"    return None not in ({numbers}) and {item}"
    return (Patch(file=file, old=f"    return {item}", new=new),)


_DROPPED = {
    "Creative-Coop": (
        "creative_coop",
        _only(CREATIVE, "len(cells) > 1 and", "shipped", "unit_price"),
    ),
    "HarperCollins": (
        "harpercollins",
        _only(HARPER, '{"code", "quantity", "list_price"} <=', "quantity", "list_price"),
    ),
    "OneHundred80": (
        "onehundred80",
        _only(GIFTS, '{"code", "quantity", "unit_price"} <=', "quantity", "unit_price"),
    ),
    "Rifle Paper": ("rifle_paper and not split", ()),
    "Rifle Paper, names apart from numbers": (
        "rifle_paper_split",
        (
            Patch(file=RIFLE, old="(?:\\.0+)?", new=""),
            Patch(
                file=RIFLE, old="(other := _OTHER_NUMBERS", new="False and (other := _OTHER_NUMBERS"
            ),
            Patch(file=RIFLE, old="    for code in sorted(unread):\n", new="    for code in ():\n"),
        ),
    ),
    "any other vendor": ("generic", ()),
}
"""By reader: its documents of doubt, and how it passes over a line besides."""
_REFUSED = '    raise SheetError(f"HTTP {response.status_code}{_status_of(response)}")\n'
_NO_ANSWER_IS_NO_ROWS = (
    Patch(
        file=SHEET,
        old="        if (written := _find(sheet, rows, headers)) is not None:\n            return written\n",
        new="",
    ),
    Patch(file=SHEET, old="no answer; whether rows were written is not known", new="no answer"),
)

READINESS = (
    Wrong(
        name="price accuracy 93.2 %: one price in 15 is the first product's",
        gate="readiness",
        check="field_of_the_big_order and price",
        patches=(
            _items(
                "price = items[0].unit_price; "
                "items = [replace(i, unit_price=price) if n % 15 == 1 else i for n, i in enumerate(items)]"
            ),
        ),
        since="the blocker that was reported for months",
    ),
    Wrong(
        name="every price is that of the next product",
        gate="readiness",
        check="field_of_the_big_order and price",
        patches=(
            _items(
                "items = [replace(i, unit_price=j.unit_price) for i, j in zip(items, items[1:] + items[:1])]"
            ),
        ),
    ),
    Wrong(
        name="quantities come from the wrong column",
        gate="readiness",
        check="field_of_the_big_order and quantity",
        patches=(
            Patch(
                file=CREATIVE,
                old="        quantity=shipped or (ordered if is_order else 0),\n",
                new="        quantity=fields.count(cells.get('allocated', '')) or 1,\n",
            ),
        ),
    ),
    Wrong(
        name="descriptions say 'Traditional D-code format'",
        gate="readiness",
        check="description or placeholders",
        patches=(
            _items("items = [replace(i, description='Traditional D-code format') for i in items]"),
        ),
        since="placeholder rows",
    ),
    Wrong(
        name="a requirement is not pinned",
        gate="readiness",
        check="pinned",
        patches=(Patch(file="requirements.txt", old="flask==", new="flask>="),),
    ),
    Wrong(
        name="an import is not required",
        gate="readiness",
        check="imported_is_required",
        patches=(Patch(file=MAIN, old="import flask\n", new="import flask\nimport rapidfuzz\n"),),
    ),
    Wrong(
        name="the entry point cannot be imported",
        gate="readiness",
        check="clean_interpreter",
        patches=(Patch(file=MAIN, new="\nraise RuntimeError('not configured')\n"),),
    ),
    Wrong(
        name="a module does not compile",
        gate="readiness",
        check="compiles",
        patches=(Patch(file="invoice_reader/extra.py", new="def broken(:\n"),),
        since="db234d1, 26 Aug 2025: null bytes in the source",
    ),
    Wrong(
        name="the source holds a service account key",
        gate="readiness",
        check="archive_has_the_function",
        patches=(Patch(file="invoice_reader/key.py", new=f'KEY = {{"private_key": "{_KEY}"}}\n'),),
    ),
    Wrong(
        name="rows are appended one by one",
        gate="readiness",
        check="written_once",
        patches=(
            Patch(
                file=MAIN,
                old=_APPEND,
                new="        for row in invoice.rows:\n            appended = sheet.append(_sheet(), [row])\n",
            ),
        ),
    ),
)

HEALTH = (
    Wrong(
        name="GET is answered with 200",
        gate="health",
        check="get_is_not_allowed",
        patches=(
            Patch(
                file=MAIN,
                old='_Refused("Method Not Allowed", 405)',
                new='_Refused("Method Not Allowed", 200)',
            ),
        ),
    ),
    Wrong(
        name="errors are answered with 200",
        gate="health",
        check="empty_post",
        patches=(
            Patch(
                file=MAIN,
                old='{"error": str(refusal)}, refusal.status',
                new='{"error": str(refusal)}, 200',
            ),
        ),
    ),
    Wrong(
        name="a JSON list ends in 500",
        gate="health",
        check="garbage",
        patches=(
            Patch(
                file=MAIN,
                old='    url = body.get("file_url") if isinstance(body, dict) else None\n',
                new='    url = body.get("file_url") if body is not None else None\n',
            ),
        ),
        since="defect of the original",
    ),
    Wrong(
        name="answers are text/html",
        gate="health",
        check="answers_are_json",
        patches=(Patch(file=MAIN, old='mimetype="application/json"', new='mimetype="text/html"'),),
    ),
    Wrong(
        name="errors show the traceback",
        gate="health",
        check="nothing_of_the_inside",
        patches=(
            Patch(
                file=MAIN,
                old='{"error": str(refusal)}, refusal.status',
                new='{"error": str(refusal) + __import__("traceback").format_exc()}, refusal.status',
            ),
        ),
    ),
    Wrong(
        name="another revision answers",
        gate="health",
        check="revision_to_be_judged",
        patches=(
            Patch(
                file=MAIN,
                old='response.headers["X-Revision"] = revision',
                new='response.headers["X-Revision"] = "process-invoice-00001-old"',
            ),
        ),
        since="nobody knew what was deployed",
    ),
    Wrong(
        name="every other answer differs",
        gate="health",
        check="ten_answers",
        patches=(
            Patch(
                file=MAIN,
                old="    except (_Refused, DownloadError) as refusal:\n",
                new=(
                    "    except (_Refused, DownloadError) as refusal:\n"
                    "        globals()['_n'] = globals().get('_n', 0) + 1\n"
                    "        if _n % 2:\n"
                    "            refusal.args = ('Busy',)\n"
                ),
            ),
        ),
    ),
    Wrong(
        name="the error for a bad document shows all variables",
        gate="health",
        check="bad_document",
        patches=(
            Patch(
                file=MAIN,
                old='_Refused(f"Document AI processing failed: {problem}", 500)',
                new='_Refused(f"Document AI processing failed: {problem} {dict(os.environ)}", 500)',
            ),
        ),
        since="passed: only the errors for empty bodies were looked at",
    ),
    Wrong(
        name="the error for a bad URL shows a variable",
        gate="health",
        check="bad_url",
        patches=(
            Patch(
                file=DOWNLOAD,
                old="class DownloadError(Exception):\n",
                new=(
                    "class DownloadError(Exception):\n"
                    "    def __str__(self) -> str:\n"
                    "        import os\n\n"
                    "        return f'{super().__str__()} {os.environ[\"GOOGLE_SHEETS_SPREADSHEET_ID\"]}'\n\n"
                ),
            ),
        ),
        since="passed: only the errors for empty bodies were looked at",
    ),
    Wrong(
        name="the error for a failing sheet shows the spreadsheet",
        gate="health",
        check="failing_sink",
        patches=(
            Patch(
                file=MAIN,
                old='_Refused(f"Failed to write to Google Sheets: {problem}", 500)',
                new='_Refused(f"Failed to write to {_sheet()}: {problem}", 500)',
            ),
        ),
        since="passed: only the errors for empty bodies were looked at",
    ),
    Wrong(
        name="JSON that is nested deeply ends in 500",
        gate="health",
        check="nested_deeply",
        patches=(
            Patch(
                file=MAIN,
                old="    except RecursionError:  # nested deeper than the parser goes\n        body = None\n",
                new="    finally:\n        pass\n",
            ),
        ),
        since="measured: 100,000 brackets",
    ),
)

CREATIVE_COOP = (
    Wrong(
        name="back-orders are dropped",
        gate="creative_coop",
        check="enough_items",
        patches=(
            Patch(file=CREATIVE, old="shipped or (ordered if is_order else 0)", new="shipped"),
        ),
    ),
    Wrong(
        name="the last page is lost",
        gate="creative_coop",
        check="enough_items",
        patches=(
            Patch(
                file=READER,
                old="    lines = read_lines(pdf)\n",
                new="    lines = read_lines(pdf)\n    lines = [l for l in lines if l.page < max(lines[-1].page, 1)]\n",
            ),
        ),
    ),
    Wrong(
        name="items that begin a page are lost",
        gate="creative_coop",
        check="enough_items",
        patches=(
            Patch(
                file=TABLE,
                old="            if is_item(fields):\n",
                new=(
                    "            if is_item(fields) and first and line.page:\n"
                    "                pass\n"
                    "            elif is_item(fields):\n"
                ),
            ),
        ),
    ),
    Wrong(
        name="rows 44 on copy the first product's price and quantity",
        gate="creative_coop",
        check="copies_another",
        patches=(
            _items(
                "price, quantity = items[0].unit_price, items[0].quantity; "
                "items[43:] = [replace(i, unit_price=price, quantity=quantity) for i in items[43:]]"
            ),
        ),
        since="placeholder rows",
    ),
    Wrong(
        name="$9.99 x 7 everywhere",
        gate="creative_coop",
        check="accuracy",
        patches=(
            _items(
                "items = [replace(i, unit_price=fields.money('9.99'), quantity=7) for i in items]"
            ),
        ),
        since="what the original's own metric approves",
    ),
    Wrong(
        name="rows begin in column A",
        gate="creative_coop",
        check="their_columns",
        patches=(Patch(file=SHEET, old="\"'{}'!B:G\"", new="\"'{}'!A:G\""),),
        since="f300667, 26 Aug to 4 Sep 2025",
    ),
    Wrong(
        name="rows begin in column C",
        gate="creative_coop",
        check="their_columns",
        patches=(_rows("[('', *row) for row in invoice.rows]"),),
        since="the placeholder of column A kept, the range changed",
    ),
    Wrong(
        name="rows are written twice",
        gate="creative_coop",
        check="there_twice",
        patches=(_rows("invoice.rows * 2"),),
    ),
    Wrong(
        name="nothing is appended, success is claimed",
        gate="creative_coop",
        check="gained_as_many",
        patches=(
            Patch(
                file=MAIN,
                old="sheet.append(_sheet(), invoice.rows)",
                new="sheet.Appended(rows=len(invoice.rows), updated_range=None)",
            ),
        ),
    ),
    Wrong(
        name="dates are serial numbers",
        gate="creative_coop",
        check="every_row_has_date",
        patches=(_rows("[(45674, *row[1:]) for row in invoice.rows]"),),
        since="2fee2d8, 7 Sep 2025: the date shows 45674",
    ),
    Wrong(
        name="number and date are Unknown in the rows",
        gate="creative_coop",
        check="every_row_has_date",
        patches=(_rows("[('Unknown', row[1], 'Unknown', *row[3:]) for row in invoice.rows]"),),
        since="4062ad5, 23 Jul 2025",
    ),
    Wrong(
        name="quantities are text",
        gate="creative_coop",
        check="are_numbers",
        patches=(_rows('[(*row[:5], f"\'{row[5]}") for row in invoice.rows]'),),
        since="e0f7f21, 4 Sep 2025",
    ),
    Wrong(
        name="UPCs lose their last digit",
        gate="creative_coop",
        check="accuracy_of_field and upc",
        patches=(_items("items = [replace(i, upc=i.upc[:-1] + '0') for i in items]"),),
    ),
    Wrong(
        name="rows are in the order of the pages",
        gate="creative_coop",
        check="in_their_order",
        patches=(Patch(file=CREATIVE, old=_SORTED, new=""),),
    ),
    Wrong(
        name="what is on back order enters the sheet with an invoice",
        gate="creative_coop",
        check="only_what_was_delivered",
        patches=(
            Patch(
                file=CREATIVE,
                old="quantity=shipped or (ordered if is_order else 0)",
                new="quantity=shipped or ordered or fields.count(cells.get('backordered', '')) or 1",
            ),
        ),
        since="defect (c) of the original",
    ),
    Wrong(
        name="the last product takes a number from the foot of the page",
        gate="creative_coop",
        check="total_is_that",
        patches=(_items("items[-1] = replace(items[-1], quantity=15)"),),
        since="defect (d) of the original",
    ),
    Wrong(
        name="an order confirmation is answered with a warning",
        gate="creative_coop",
        check="answer_is_success",
        patches=(
            Patch(file=CREATIVE, old="    items.sort(", new="    items = []\n    items.sort("),
        ),
        since="acc76a2, 23 Jul 2025: 200 with a warning, nothing in the sheet",
    ),
    Wrong(
        name="a document that is cut off is refused, but leaves a row behind",
        gate="creative_coop",
        check="broken_copy",
        patches=(
            Patch(
                file=MAIN,
                old="    except UnreadableDocument as problem:\n",
                new=(
                    "    except UnreadableDocument as problem:\n"
                    "        row = ('1/17/2025', 'Creative Co-op', 'CS003837319', 'CD0243A - UPC: 0', '$26.00', '4')\n"
                    "        sheet.append(_sheet(), [row])\n"
                ),
            ),
        ),
    ),
)

VENDOR_REGRESSION = (
    Wrong(
        name="the vendor is spelled Creative-Coop",
        gate="vendor_regression",
        check="recognised and creative",
        patches=(
            Patch(file=CREATIVE, old='VENDOR = "Creative Co-op"', new='VENDOR = "Creative-Coop"'),
        ),
        since="2fee2d8, 7 Sep 2025: spelled two ways",
    ),
    Wrong(
        name="500 after the rows were written",
        gate="vendor_regression",
        check="hears_of_an_error and harper",
        patches=(
            Patch(
                file=MAIN,
                old=_APPEND,
                new=f"{_APPEND}        raise UnboundLocalError('order_number')\n",
            ),
        ),
        since="f11ae99, 23 Jul 2025",
    ),
    Wrong(
        name="500 where the document has no number",
        gate="vendor_regression",
        check="recognised and creative",
        patches=(
            Patch(
                file=MAIN,
                old=_EXTRACT,
                new=f"{_EXTRACT}        if invoice.number == 'Unknown':\n            raise TypeError(invoice.number)\n",
            ),
        ),
        since="0d00829, 23 Jul 2025: the fix of the one above",
    ),
    Wrong(
        name="ISBNs lose their last digit",
        gate="vendor_regression",
        check="items_are_those and harper",
        patches=(
            Patch(
                file=HARPER,
                old='        code=cells["code"],\n',
                new='        code=cells["code"][:12],\n',
            ),
        ),
    ),
    Wrong(
        name="prices have three decimals",
        gate="vendor_regression",
        check="header_columns and harper",
        patches=(
            Patch(file=HARPER, old="* share:.2f}", new="* share:.3f}"),
            Patch(file=HARPER, old="{item.unit_price:.2f}", new="{item.unit_price:.3f}"),
        ),
        since="e0f7f21, 4 Sep 2025",
    ),
    Wrong(
        name="codes of two letters and four digits make any document Creative-Coop's",
        gate="vendor_regression",
        check="recognised and onehundred80",
        patches=(
            Patch(
                file=DETECT,
                old="    head = letterhead(lines)\n    for text in head:\n",
                new=(
                    "    head = letterhead(lines)\n"
                    "    codes = [c for l in lines for c in l.cells if re.fullmatch(r'[A-Z]{2}\\d{4}', c.text)]\n"
                    "    if len(codes) > 1:\n        return Vendor.CREATIVE_COOP\n"
                    "    for text in head:\n"
                ),
            ),
        ),
        since="defect (a) of the original",
    ),
    Wrong(
        name="the year in a title is taken for the quantity",
        gate="vendor_regression",
        check="year_or_a_code and rifle",
        patches=(
            Patch(
                file=RIFLE,
                old=_PAPER,
                new=(
                    "    from dataclasses import replace\n"
                    "    items = [replace(i, quantity=2026) if '2026' in i.description else i for i in items]\n"
                    f"{_PAPER}"
                ),
            ),
        ),
        since="defect (b) of the original",
    ),
    Wrong(
        name="a document without items is answered with success",
        gate="vendor_regression",
        check="other_documents and scanned",
        patches=(
            Patch(
                file=MAIN,
                old="    if not invoice.rows:\n",
                new="    if not invoice.rows:\n        return _success(invoice)\n    if not invoice.rows:\n",
            ),
        ),
    ),
    Wrong(
        name="one vendor got worse than at the last promotion, above its threshold",
        gate="vendor_regression",
        check="no_worse and rifle",
        patches=(
            Patch(
                file=RIFLE,
                old=_PAPER,
                new=(
                    "    from dataclasses import replace\n"
                    "    items = [replace(i, quantity=i.quantity + n % 4 // 3) for n, i in enumerate(items)]\n"
                    f"{_PAPER}"
                ),
            ),
        ),
        baseline={"accuracy_rifle_paper": 1.0},
    ),
    Wrong(
        name="a success shows the project",
        gate="vendor_regression",
        check="recognised and rifle",
        patches=(
            Patch(
                file=MAIN,
                old='"message": "Invoice processed and added to sheet",',
                new='"message": f"Processed in {os.environ[\'GOOGLE_CLOUD_PROJECT_ID\']}",',
            ),
        ),
    ),
    Wrong(
        name="the answer has no date for one vendor, whose rows are right",
        gate="vendor_regression",
        check="answer_names and onehundred80",
        patches=(
            Patch(
                file=MAIN,
                old='"invoice_date": invoice.date_text,',
                new='"invoice_date": "Unknown" if invoice.vendor.startswith("One") else invoice.date_text,',
            ),
        ),
        since="passed: the answer of three documents was looked at",
    ),
    Wrong(
        name="a date that is printed as a serial number is not read",
        gate="vendor_regression",
        check="serial_date",
        patches=(
            Patch(
                file="invoice_reader/fields.py",
                old='    if re.fullmatch(r"\\d{5}", text):\n',
                new="    if not text:\n",
            ),
        ),
        since="2fee2d8, 7 Sep 2025",
    ),
    *(
        Wrong(
            name=f"lines that cannot be read are dropped in silence: {vendor}",
            gate="vendor_regression",
            check=f"in_silence and {documents} and not higher_total",
            is_each=True,
            patches=(
                *_NO_LINE_LOOKS_LIKE_AN_ITEM,
                *_NO_TOTAL_IS_WRONG,
                *_WHOLE_NUMBERS_ONLY,
                *more,
            ),
            since="passed: of two lines one row, and success",
        )
        for vendor, (documents, more) in _DROPPED.items()
    ),
    Wrong(
        name="a line whose code has no digit is dropped, whatever its UPC",
        gate="vendor_regression",
        check="in_silence and unreadable_code_creative_coop",
        patches=(
            Patch(
                file=_COMPLETENESS, old='("code", "upc", "customer")', new='("code", "customer")'
            ),
        ),
        since="passed: only the printed total told",
    ),
    Wrong(
        name="a total that the items do not add up to is no matter",
        gate="vendor_regression",
        check="in_silence and higher_total",
        is_each=True,
        patches=_NO_TOTAL_IS_WRONG,
    ),
    *(
        Wrong(
            name=f"text of a document is typed into the sheet: {what}",
            gate="vendor_regression",
            check=f"other_documents and {document}",
            patches=(
                Patch(
                    file=SHEET,
                    old='[f"\'{value}" if place in _TEXTS else value for place, value in enumerate(row)]',
                    new=f'[f"\'{{v}}" if n in _TEXTS and {unless} else v for n, v in enumerate(row)]',
                ),
            ),
            since="=HYPERLINK(...) as the vendor's name became a formula",
        )
        for what, document, unless in (
            ("a formula", "hostile_equals", "str(v)[0] != '='"),
            ("a formula behind a tab", "hostile_tab", "str(v)[0] != '='"),
            ("a formula behind a line break", "hostile_return", "str(v)[0] != '='"),
            ("a number with a plus", "hostile_plus", "str(v)[0] != '+'"),
            ("a number with a minus", "hostile_minus", "str(v)[0] != '-'"),
            ("identifiers that begin with zeros", "leading_zeros", "str(v)[0] in '=+-@'"),
        )
    ),
    Wrong(
        name="rows go astray in a tab with a gap, and success is claimed",
        gate="vendor_regression",
        check="go_astray",
        patches=(
            Patch(
                file=SHEET,
                old='        if columns in ("", f"{_COLUMNS[0]}:{_COLUMNS[-1]}"):\n',
                new="        if columns or not columns:\n",
            ),
        ),
        since="measured: rows in G:L",
    ),
)

ZAPIER = (
    Wrong(
        name="a URL in the form field invoice_file is ignored",
        gate="zapier",
        check="form_invoice_file_url",
        patches=(Patch(file=MAIN, old='("file_url", "invoice_file")', new='("file_url",)'),),
    ),
    Wrong(
        name="the file is looked for under another field name",
        gate="zapier",
        check="multipart_file",
        patches=(
            Patch(
                file=MAIN, old='request.files.get("invoice_file")', new='request.files.get("file")'
            ),
        ),
    ),
    Wrong(
        name="JSON is read only without a charset",
        gate="zapier",
        check="json_url",
        patches=(
            Patch(
                file=MAIN,
                old="if request.is_json else None",
                new='if request.headers.get("Content-Type") == "application/json" else None',
            ),
        ),
    ),
    Wrong(
        name="updated_range names other rows",
        gate="zapier",
        check="names_the_rows",
        patches=(
            Patch(
                file=MAIN,
                old='"updated_range": appended.updated_range',
                new='"updated_range": "TEST!B1:G1"',
            ),
        ),
    ),
    Wrong(
        name="addresses inside the network are fetched",
        gate="zapier",
        check="never_asked or not_followed",
        patches=(
            Patch(
                file=NETWORK,
                old="    return (\n        address.is_global\n",
                new="    return True or (\n        address.is_global\n",
            ),
        ),
    ),
    Wrong(
        name="the error repeats the URL with its token",
        gate="zapier",
        check="urls_secrets",
        patches=(
            Patch(
                file=DOWNLOAD,
                old='raise _failed(f"HTTP {response.status_code}{phrase}{hint}")',
                new='raise _failed(f"HTTP {response.status_code} for {response.url}")',
            ),
        ),
    ),
    Wrong(
        name="an HTML page is taken for a document without items",
        gate="zapier",
        check="without_a_document and html_page",
        patches=(
            Patch(
                file=DOWNLOAD,
                old='        raise DownloadError("Downloaded file is not a PDF")\n',
                new="        return\n",
            ),
            Patch(
                file=MAIN,
                old='        raise _Refused(f"{kind} file is not a PDF", 400)\n',
                new='        return b"%PDF-1.4"\n',
            ),
            Patch(
                file=MAIN,
                old=_EXTRACT,
                new='        if len(pdf) < 99:\n            return {"warning": "No line items found in invoice"}\n'
                + _EXTRACT,
            ),
        ),
    ),
    Wrong(
        name="rows go to the production tab whatever the configuration says",
        gate="zapier",
        check="as_before_a_posting",
        patches=(
            Patch(
                file=MAIN,
                old='tab=os.environ.get("GOOGLE_SHEETS_SHEET_NAME")',
                new='tab="Update 20230525"',
            ),
        ),
        since="a test script that wrote to the real sheet",
    ),
    Wrong(
        name="rows go to both tabs",
        gate="zapier",
        check="as_before_a_posting",
        patches=(
            Patch(
                file=MAIN,
                old=_APPEND,
                new=(
                    f"{_APPEND}        other = sheet.Sheet(spreadsheet=_sheet().spreadsheet, "
                    "tab='Update 20230525', endpoint=_sheet().endpoint)\n"
                    "        sheet.append(other, invoice.rows)\n"
                ),
            ),
        ),
    ),
    *(
        Wrong(
            name=f"a sheet that refuses with {status} is answered with success",
            gate="zapier",
            check=f"failing_sink and {fault}",
            patches=(
                Patch(
                    file=SHEET,
                    old=_REFUSED,
                    new=(
                        f"    if response.status_code == {status}:\n"
                        f"        return _appended(response, len(rows))\n{_REFUSED}"
                    ),
                ),
            ),
            since="passed: no suite made the sheet fail",
        )
        for status, fault in ((403, "forbidden"), (429, "too_many"), (503, "unavailable"))
    ),
    Wrong(
        name="a spreadsheet that nobody can write to is answered with success",
        gate="zapier",
        check="nobody_can_write",
        patches=(
            Patch(
                file=SHEET,
                old=_REFUSED,
                new=(
                    "    if response.status_code in (403, 404):\n"
                    f"        return Appended(rows=0, updated_range=None)\n{_REFUSED}"
                ),
            ),
        ),
        since="on Google nothing made the sheet refuse",
    ),
    Wrong(
        name="rows that were written before a 503 are answered with an error",
        gate="zapier",
        check="unavailable_after_the_write",
        patches=(
            Patch(
                file=SHEET,
                old=(
                    "    if response.status_code >= 500 and (written := _find(sheet, rows, headers)) is not None:\n"
                    "        return written\n"
                ),
                new="",
            ),
        ),
        since="measured: Sheets commits, then 503; Zapier sends it again",
    ),
    Wrong(
        name="rows whose answer was lost are answered with an error",
        gate="zapier",
        check="answer_lost",
        patches=_NO_ANSWER_IS_NO_ROWS,
        since="passed: no suite made the sheet fail",
    ),
    Wrong(
        name="an append whose answer was lost is repeated",
        gate="zapier",
        check="answer_lost",
        patches=(
            Patch(
                file=SHEET,
                old=(
                    "    except requests.RequestException as error:\n"
                    "        if (written := _find(sheet, rows, headers)) is not None:\n"
                    "            return written\n"
                ),
                new="    except requests.RequestException as error:\n        return append(sheet, rows)\n",
            ),
        ),
    ),
    Wrong(
        name="a slow sheet is given up, and its rows come after the error",
        gate="zapier",
        check="failing_sink and slow",
        patches=(
            *_NO_ANSWER_IS_NO_ROWS,
            Patch(file=SHEET, old="_TIMEOUT_S = (10, 60)", new="_TIMEOUT_S = (10, 0.4)"),
        ),
    ),
)

PERFORMANCE = (
    Wrong(
        name="three times as slow as at the last promotion",
        gate="performance",
        check="last_promotion",
        patches=(
            Patch(
                file=MAIN, old=_EXTRACT, new=f"        __import__('time').sleep(1.6)\n{_EXTRACT}"
            ),
        ),
        baseline={"processing_mean_s": 0.5},
        since="26 Aug 2025: a slow model, and Zapier gave up",
    ),
    Wrong(
        name="each invoice leaves memory behind",
        gate="performance",
        check="memory_stays",
        patches=(
            Patch(
                file=MAIN,
                old=_EXTRACT,
                new=f"        globals().setdefault('_kept', []).append(bytearray(90 << 20))\n{_EXTRACT}",
            ),
        ),
    ),
    Wrong(
        name="one request in ten fails",
        gate="performance",
        check="error_rate",
        patches=(
            Patch(
                file=MAIN,
                old='    """Answer a request; nothing gets out of here but JSON."""\n',
                new=(
                    '    """Answer a request; nothing gets out of here but JSON."""\n'
                    "    if next(_turn) % 10 == 0:\n"
                    '        return flask.Response("busy", status=503)\n'
                ),
            ),
            Patch(file=MAIN, new="\n\n_turn = __import__('itertools').count(1)\n"),
        ),
    ),
    Wrong(
        name="requests at once share their result",
        gate="performance",
        check="not_mixed",
        patches=(
            Patch(
                file=MAIN,
                old=_APPEND,
                new=(
                    "        globals()['_shared'] = invoice\n"
                    "        __import__('time').sleep(0.15)\n"
                    "        appended = sheet.append(_sheet(), _shared.rows)\n"
                ),
            ),
        ),
    ),
)

ROLLBACK_CHECKS = (
    Wrong(
        name="what serves reads prices and quantities of the next product",
        gate="rollback_checks",
        check="accuracy",
        patches=(
            _items(
                "after = items[1:] + items[:1]; "
                "items = [replace(i, unit_price=j.unit_price, quantity=j.quantity) for i, j in zip(items, after)]"
            ),
        ),
    ),
    Wrong(
        name="what serves fails one request in five",
        gate="rollback_checks",
        check="error_rate",
        patches=(
            Patch(
                file=MAIN,
                old='    """Answer a request; nothing gets out of here but JSON."""\n',
                new=(
                    '    """Answer a request; nothing gets out of here but JSON."""\n'
                    "    if next(_turn) % 5 == 0:\n"
                    '        return flask.Response("busy", status=503)\n'
                ),
            ),
            Patch(file=MAIN, new="\n\n_turn = __import__('itertools').count(1)\n"),
        ),
    ),
    Wrong(
        name="what serves writes beside the columns",
        gate="rollback_checks",
        check="where_they_belong",
        patches=(Patch(file=SHEET, old="\"'{}'!B:G\"", new="\"'{}'!A:G\""),),
        since="f300667, 26 Aug to 4 Sep 2025",
    ),
)

WRONG_FUNCTIONS = (
    *READINESS,
    *HEALTH,
    *CREATIVE_COOP,
    *VENDOR_REGRESSION,
    *ZAPIER,
    *PERFORMANCE,
    *ROLLBACK_CHECKS,
)
