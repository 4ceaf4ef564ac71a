"""A helper program beside the test, forked from the process that tests, which has imported everything already."""

import os
import signal
import sys
import tempfile
import time
import traceback


class ForkedHelper:
    """``main(*arguments)`` of a helper in a process of its own; as a ``subprocess.Popen`` of text as far as tests ask.

    It ends when ``main`` returns. What it prints goes to ``stdout``, and what it reads comes from ``stdin``.
    """

    def __init__(self, main, *arguments):
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - open as long as the process is
        commands, stdin = os.pipe()
        stdout, answers = os.pipe()
        self.pid, self.returncode = os.fork(), None
        if self.pid == 0:
            os.close(stdin)
            os.close(stdout)
            self.become(main, arguments, commands, answers)
        os.close(commands)
        os.close(answers)
        self.stdin, self.stdout = os.fdopen(stdin, "w"), os.fdopen(stdout)

    def become(self, main, arguments, commands, answers):
        """The child: its streams are the pipes, and nothing of the test outlives ``main`` in it."""
        code = 1
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            sys.stdin, sys.stdout = os.fdopen(commands), os.fdopen(answers, "w")
            main(*map(str, arguments))
            sys.stdout.flush()
            code = 0
        except BaseException:  # noqa: BLE001 - the test reads what it was
            traceback.print_exc(file=self.errors)
            self.errors.flush()
        finally:
            os._exit(code)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.wait()
        for stream in (self.stdin, self.stdout, self.errors):
            stream.close()

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)

    def poll(self):
        """The exit status, if it has ended."""
        if self.returncode is None:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            if ended:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout=60):
        """Its exit status, when it has ended."""
        deadline = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.pid} has not ended in {timeout} s")
            time.sleep(0.002)
        return self.returncode

    def communicate(self, timeout=60):
        """What else it printed, and the error that ended it."""
        printed = self.stdout.read()
        self.wait(timeout)
        self.errors.seek(0)
        return printed, self.errors.read()
