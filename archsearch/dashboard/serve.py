"""The server: the standard library's, a thread a request, on this machine alone unless it is told otherwise."""

import errno
import socket
import sys
from ipaddress import ip_address
from socketserver import TCPServer, ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from archsearch.errors import EnvironmentFaultError, InputError, Problem, shown

PORT = 8080
IDLE_S = 30


class Handler(WSGIRequestHandler):
    """Says nothing of each request, and waits for no slow one for ever."""

    timeout = IDLE_S

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class calls it so
        """A page asks every few seconds: nobody wants to read that."""


class Server(ThreadingMixIn, WSGIServer):
    """A page asks for many files at once; a figure that is being drawn keeps none of them waiting."""

    daemon_threads = True

    def server_bind(self) -> None:
        """Bind without asking a name server what this machine is called: seconds, where none answers."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that goes away in the middle of an answer is no fault."""
        if not isinstance(sys.exception(), (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)


class Server6(Server):
    """The same for an IPv6 address."""

    address_family = socket.AF_INET6


def bind_server(host: str, port: int | None) -> Server:
    """A server that has its port and no application yet: ``port``, or 8080 if it is free, else any free one.

    Raises:
        EnvironmentFaultError: the port is taken, or not ours to take; or this machine has no such address.
    """
    ports = (port,) if port is not None else (PORT, 0)
    for attempt in ports:
        try:
            return (Server6 if ":" in host else Server)((host, attempt), Handler)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or attempt == ports[-1]:
                what = error.strerror or str(error)
                raise EnvironmentFaultError(
                    f"--port {attempt} on {host}: {what}; give another one"
                ) from error
    raise AssertionError("the last port was tried")


def is_this_machine(host: str) -> bool:
    """Whether only this machine can reach ``host``."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def refuse_open(host: str, *, insecure: bool) -> None:
    """InputError for an address that others reach, unless the user allows it."""
    if insecure or is_this_machine(host):
        return
    what = f"{shown(host)} can be reached from other machines, and the dashboard asks for no password"
    remedy = "leave it out and reach 127.0.0.1 through ssh -L, or add --insecure"
    raise InputError("archsearch dashboard", [Problem("--host", what, remedy)])


def url_of(server: Server) -> str:
    """Where a browser on this machine finds it."""
    host, port = str(server.server_address[0]), server.server_address[1]
    name = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{name}:{port}"
