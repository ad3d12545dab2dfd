"""A program on a terminal of its own, and what it drew there."""

import fcntl
import os
import pty
import re
import select
import struct
import termios
import time

PATIENCE_S = 20
ERASE_LINE = "\r\033[K"


class Terminal:
    """`columns` by `rows`; ends with the program, or at the deadline by killing it."""

    def __init__(self, argv, columns=80, rows=24, **env):
        self.text = ""
        self.code = None
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            clean = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
            environ = {**clean, "TERM": "xterm", "LC_ALL": "C.UTF-8", **env}
            try:
                os.execvpe(argv[0], [str(argument) for argument in argv], environ)
            finally:
                os._exit(127)  # a second run of all tests is no program

    def resize(self, columns, rows):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text):
        os.write(self.fd, text.encode())

    def kill(self, number):
        os.kill(self.pid, number)

    def _read(self):
        """False at the end."""
        ready, _, _ = select.select([self.fd], [], [], 0.1)
        if not ready:
            return True
        try:
            data = os.read(self.fd, 65536)
        except OSError:  # Linux says so at the end
            return False
        self.text += data.decode(errors="replace")
        return bool(data)

    def until(self, what):
        """Reads until this was drawn, as text or as pattern."""
        deadline = time.monotonic() + PATIENCE_S
        while not (what.search(self.text) if hasattr(what, "search") else what in self.text):
            assert self._read() and time.monotonic() < deadline, f"{what!r} was not drawn: {self.text!r}"
        return self

    def end(self):
        """The exit code, or the negative signal; everything drawn is in `text`."""
        deadline = time.monotonic() + PATIENCE_S
        while self._read():
            assert time.monotonic() < deadline, f"it does not end: {self.text!r}"
        _, status = os.waitpid(self.pid, 0)
        self.code = os.waitstatus_to_exitcode(status)
        return self.code

    def close(self):
        if self.code is None:
            os.kill(self.pid, 9)
            os.waitpid(self.pid, 0)
        os.close(self.fd)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # ---- what was drawn ----

    def drawings(self):
        """Each line as it was drawn, one after the other, without colours."""
        plain = re.sub(r"\033\[[0-9;]*m", "", self.text)
        return [line for line in re.split(r"[\r\n]|\033\[[0-9;]*[A-Za-z]", plain) if line]

    def screen(self):
        """What stands there in the end; for programs that only erase lines and move up."""
        lines, row, at = [""], 0, 0
        for part in re.findall(r"\033\[[0-9;]*[A-Za-z]|[^\033]", self.text):
            if part == "\r":
                at = 0
            elif part == "\n":
                row += 1
                lines += [""] if row == len(lines) else []
            elif part == "\033[K":
                lines[row] = lines[row][:at]
            elif part == "\033[J":
                lines[row:] = [lines[row][:at]]
            elif part.startswith("\033") and part.endswith("A"):
                row = max(0, row - int(part[2:-1]))
            elif part == "\033[H":
                row = at = 0
            elif not part.startswith("\033"):
                lines[row] = lines[row].ljust(at)[:at] + part + lines[row][at + 1 :]
                at += 1
        return [line.rstrip() for line in lines]
