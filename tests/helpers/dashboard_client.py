"""The dashboard as the tests use it: the real server on a free port, in a thread; and records that grow."""

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import optuna

from archsearch.dashboard.app import viewer
from archsearch.dashboard.gate import Gate, allowed_hosts
from archsearch.dashboard.serve import bind_server
from archsearch.storage.open import close, load_for_work
from archsearch.storage.run_folder import RunFolder


def add(folder, excess=-1.0, values=None, **attributes):
    """One more trained candidate in the record, like the first one but for ``attributes``; its number."""
    study = load_for_work(folder / "study.db")
    try:
        like = next(t for t in study.trials if t.user_attrs.get("outcome") == "trained")
        study.add_trial(
            optuna.trial.create_trial(
                values=values or like.values,
                params=like.params,
                distributions=like.distributions,
                user_attrs={**like.user_attrs, **attributes},
                system_attrs={"constraints:params": excess},
            )
        )
        return len(study.trials) - 1
    finally:
        close(study)


@dataclass
class Site:
    """A dashboard that is being served, and every path that it was asked for."""

    port: int
    asked: list[str] = field(default_factory=list)

    @property
    def address(self):
        return f"http://127.0.0.1:{self.port}"

    def ask(self, path, method="GET", **headers):
        """Its answer: status, headers, body. ``Host`` is what a browser would send, unless it is given."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        named = {"Host": f"127.0.0.1:{self.port}", "Accept-Encoding": "identity", **headers}
        connection.request(method, path, headers=named)
        answer = connection.getresponse()
        try:
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()


@contextmanager
def serving(folder, *, writable=False) -> Iterator[Site]:
    shown = viewer(RunFolder(folder), writable=writable)
    app = shown.app()
    with bind_server("127.0.0.1", 0) as server:
        site = Site(server.server_port)

        def noting(environ, start_response):
            site.asked.append(environ["PATH_INFO"])
            return app(environ, start_response)

        server.set_app(Gate(noting, allowed_hosts("127.0.0.1", site.port), writable))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield site
        finally:
            server.shutdown()
            thread.join()
            shown.close()
