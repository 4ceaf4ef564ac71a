"""Headless Chromium, spoken to over a pipe: the parts of its protocol that the tests of the report need."""

import json
import os
import shutil
import subprocess
import time
from contextlib import contextmanager

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --window-size=1400,1000 --remote-debugging-pipe"
).split()


class Page:
    """One page: its calls, and the events that came meanwhile."""

    def __init__(self, read, write):
        self.read, self.write, self.session, self.rest, self.sent, self.events = read, write, None, b"", 0, []

    def message(self):
        while b"\0" not in self.rest:
            part = os.read(self.read, 1 << 16)
            assert part, "Chromium went away"
            self.rest += part
        first, _, self.rest = self.rest.partition(b"\0")
        return json.loads(first)

    def call(self, method, **params):
        self.sent += 1
        asked = {"id": self.sent, "method": method, "params": params}
        if self.session:
            asked["sessionId"] = self.session
        os.write(self.write, json.dumps(asked).encode() + b"\0")
        while True:
            answer = self.message()
            if answer.get("id") == self.sent:
                assert "error" not in answer, answer["error"]
                return answer["result"]
            self.events.append(answer)

    def open(self, address):
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call("Page.navigate", url=address)
        end = time.monotonic() + 60
        while self.value("document.readyState + location.href") != "complete" + address:
            assert time.monotonic() < end, "the page was not loaded in a minute"
            time.sleep(0.05)

    def value(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def point_at(self, x, y):
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def complaints(self):
        """What its console said, and what went wrong."""
        loud = ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")
        return [event["params"] for event in self.events if event.get("method") in loud]

    def requests(self):
        """What it asked for."""
        asked = [event for event in self.events if event.get("method") == "Network.requestWillBeSent"]
        return [event["params"]["request"]["url"] for event in asked]


def found():
    """Where the browser is."""
    return shutil.which("chromium") or shutil.which("google-chrome")


@contextmanager
def chromium(program, profile):
    """A page of a browser of its own."""
    (their_in, our_out), (our_in, their_out) = os.pipe(), os.pipe()
    # It reads from 3 and writes to 4.
    shell = f'exec "$@" 3<&{their_in} 4>&{their_out}'
    command = ["bash", "-c", shell, "-", program, *FLAGS, f"--user-data-dir={profile}"]
    with subprocess.Popen(
        command, pass_fds=(their_in, their_out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as browser:
        os.close(their_in)
        os.close(their_out)
        try:
            yield Page(our_in, our_out)
        finally:
            browser.terminate()
            browser.wait(timeout=20)
            os.close(our_in)
            os.close(our_out)
