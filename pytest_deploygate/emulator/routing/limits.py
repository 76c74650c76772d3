"""What Cloud Run takes and gives of HTTP/1 (Cloud Run quotas; Google Cloud load balancing, quotas)."""

MAX_REQUEST_BYTES = 32 * 1024 * 1024
"""Body of a request ("Maximum HTTP/1 request size")."""
MAX_RESPONSE_BYTES = 32 * 1024 * 1024
"""Body of an answer that is not streamed ("Maximum HTTP/1 response size, if not using Transfer-Encoding: chunked")."""
HEAD_BYTES = 64 * 1024
"""URL and headers of a request together ("Maximum size of the combination of URL and HTTP request header")."""
MAX_HEADERS = 1000
"""More than fit into that for any practical purpose; the parser wants a number."""
