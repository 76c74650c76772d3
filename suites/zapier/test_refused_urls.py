"""URLs that must not be fetched or lead to no document: a clear refusal, no row, nothing asked inside the network."""

from collections.abc import Callable, Iterator

import pytest

from pytest_deploygate.checks.file_server import FileHost, serve_files
from suites.invoices import Posting, contract_violations, document_path, header_sets
from suites.posting import Poster
from suites.support.profile import profile
from suites.support.zapier import url_call

SECRET = b"%PDF-1.4 internal-secret-4711"


@pytest.fixture(scope="module")
def inside() -> Iterator[FileHost]:
    """A server inside the network: an address that is not public, and that nobody exempted."""
    with serve_files({"secret.pdf": SECRET}, address="127.0.0.2") as host:
        yield host


def post_url(poster: Poster, url: str) -> Posting:
    known = profile()
    call = url_call(header_sets()["webhooks_post_json"], url, field=known.url_fields[0])
    return poster.post(known.roles.small, call)


def is_refused(posting: Posting) -> bool:
    return (
        400 <= posting.answer.status < 600
        and posting.rows == ()
        and contract_violations(posting.answer) == ()
    )


def _loop(host: FileHost) -> str:
    """Leads to itself: the next URL that the host makes has the next number."""
    number = int(host.missing().split("/")[-2]) + 1
    return host.redirect(f"{host.base}/{number}/moved.pdf")


BAD: dict[str, Callable[[FileHost], str]] = {
    "missing": lambda host: host.missing(),
    "html_page": lambda host: host.page("login", b"<html>Sign in</html>", "text/html"),
    "text_as_pdf": lambda host: host.page("a.pdf", b"no PDF at all", "application/pdf"),
    "empty_file": lambda host: host.page("a.pdf", b"", "application/pdf"),
    "loop": _loop,
}


@pytest.mark.parametrize("name", BAD)
def test_url_without_a_document_is_refused(poster: Poster, documents: FileHost, name: str) -> None:
    posting = post_url(poster, BAD[name](documents))
    assert is_refused(posting), posting.answer.text


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/computeMetadata/v1/instance/service-accounts/default/token",
        "http://metadata.google.internal/computeMetadata/v1/",
        "http://[::1]:8080/a.pdf",
        "http://[::ffff:127.0.0.2]/a.pdf",
        "http://2130706434/a.pdf",
        "http://0x7f.0.0.2/a.pdf",
        "http://10.0.0.1/a.pdf",
        "file:///etc/passwd",
        "gopher://127.0.0.2/a.pdf",
        "http://",
        "not a url",
    ],
)
def test_address_inside_the_network_is_refused(poster: Poster, url: str) -> None:
    posting = post_url(poster, url)
    assert is_refused(posting), posting.answer.text
    assert posting.answer.elapsed_s < 40


@pytest.mark.usefixtures("documents")
def test_server_inside_the_network_is_never_asked(poster: Poster, inside: FileHost) -> None:
    posting = post_url(poster, inside.url("secret.pdf"))
    assert is_refused(posting), posting.answer.text
    assert inside.asked == ()
    assert "4711" not in posting.answer.text


def test_redirect_into_the_network_is_not_followed(
    poster: Poster, documents: FileHost, inside: FileHost
) -> None:
    target = inside.url("secret.pdf")
    posting = post_url(poster, documents.redirect(target))
    assert is_refused(posting), posting.answer.text
    assert inside.asked == ()


def test_error_does_not_repeat_the_urls_secrets(poster: Poster, documents: FileHost) -> None:
    posting = post_url(poster, f"{documents.missing()}?token=planted-4711")
    assert is_refused(posting), posting.answer.text
    assert "planted-4711" not in posting.answer.text


def test_documents_are_there() -> None:
    """The refusals above would prove nothing if the documents could not be read."""
    assert document_path(profile().roles.small).stat().st_size > 100
