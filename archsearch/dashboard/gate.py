"""Which requests the dashboard answers: a filter in front of it, for it has no password and no limits of its own.

By itself Optuna's dashboard deletes a study for anybody who can reach its port, and so for any web page
that the user's browser visits: a page may send requests to 127.0.0.1, under the page's own name (Origin) or
under a name that was made to point there (Host; DNS rebinding).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

READING = ("GET", "HEAD")
WRITING = ("POST", "PUT", "DELETE", "PATCH")
# The dashboard's pages have policies of their own; an answer without one may run and load nothing.
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'",
}
REMOVED = "access-control-allow-origin"

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]


@dataclass(frozen=True)
class Refusal:
    """Why a request is refused: an HTTP status and a line for whoever sent it."""

    status: str
    reason: str
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Gate:
    """A WSGI application that passes on to ``app`` only the requests that are allowed.

    Attributes:
        app: what answers.
        hosts: the names under which it may be addressed, with port; None is any name.
        writable: whether requests may change something.
    """

    app: Application
    hosts: frozenset[str] | None
    writable: bool = False

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer, with headers that keep other pages out, or refuse."""
        refusal = self.refusal(environ)
        if refusal is None:
            return self.app(environ, with_headers(start_response))
        body = f"archsearch: {refusal.reason}\n".encode()
        headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
        with_headers(start_response)(refusal.status, [*headers, *refusal.headers])
        return [body]

    def refusal(self, environ: Environ) -> Refusal | None:
        """Why this request is refused; None if it is not."""
        host = str(environ.get("HTTP_HOST", "")).lower()
        if not host or (self.hosts is not None and host not in self.hosts):
            names = "the name that it was given" if self.hosts is None else " or ".join(sorted(self.hosts))
            return Refusal("403 Forbidden", f"this dashboard answers only to {names} (header Host)")
        origin = str(environ.get("HTTP_ORIGIN", f"http://{host}")).lower()
        if origin != f"http://{host}":
            return Refusal("403 Forbidden", "this dashboard answers only its own pages (header Origin)")
        allowed = (*READING, *WRITING) if self.writable else READING
        if environ.get("REQUEST_METHOD") not in allowed:
            read_only = "this dashboard is read-only; start it with --writable to change the record"
            why = "this dashboard knows no such method" if self.writable else read_only
            return Refusal("405 Method Not Allowed", why, (("Allow", ", ".join(allowed)),))
        return None


def with_headers(start_response: StartResponse) -> StartResponse:
    """``start_response`` with our headers where the answer has none of that name, and open to no other page."""

    def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
        given = {name.lower() for name, _ in headers}
        kept = [(name, value) for name, value in headers if name.lower() != REMOVED]
        ours = [(name, value) for name, value in HEADERS.items() if name.lower() not in given]
        return start_response(status, [*kept, *ours], *rest)

    return start


def allowed_hosts(host: str, port: int) -> frozenset[str] | None:
    """The names with port under which a server bound to ``host`` may be addressed; None where it may be any."""
    if host in ("0.0.0.0", "::"):  # noqa: S104 - asked for by name, with a flag of its own
        return None
    own = f"[{host}]" if ":" in host else host
    return frozenset(f"{name}:{port}".lower() for name in ("127.0.0.1", "localhost", "[::1]", own))
