"""A terminal with a shell's view of one job on it: what the cases of cases.py are written in.

Terminal(argv) runs argv on a pseudo-terminal, as the leader of its session.  Each wait has an end: what does not come in
time fails the case.  Nothing that was started is left running when close() returns.
"""

import errno
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time

WAIT = 10.0


class Failure(Exception):
    """What was expected, and what came instead."""


class Terminal:
    def __init__(self, argv, user=None, rows=24, columns=80, env=None):
        self.output = ''
        self.status = None
        self.cpu_seconds = 0.0
        self.master, slave = pty.openpty()
        self.resize(rows, columns)
        if user is not None:
            os.fchown(slave, user, user)
        self.slave_name = os.ttyname(slave)
        self.pid = os.fork()
        if self.pid == 0:
            try:
                self._become(slave, argv, user, env)
            finally:
                os._exit(126)
        os.close(slave)

    def _become(self, slave, argv, user, env):
        os.close(self.master)
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        for fd in range(3):
            os.dup2(slave, fd)
        os.closerange(3, 64)
        for sig in (signal.SIGPIPE, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTSTP):
            signal.signal(sig, signal.SIG_DFL)
        if user is not None:
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
        os.execvpe(argv[0], argv, env or os.environ)

    # ---- the one who sits there ----

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))

    def modes(self):
        return termios.tcgetattr(self.master)

    def echoes(self):
        return bool(self.modes()[3] & termios.ECHO)

    def type(self, text):
        os.write(self.master, text.encode())

    def line(self, text):
        self.type(text + '\n')

    def key(self, letter):
        self.type(chr(ord(letter) & 0x1f))

    def expect(self, pattern, seconds=WAIT, drop=True):
        """Reads on until pattern is in what was not yet looked at, and (drop) forgets all to its end.  The match."""
        end = time.monotonic() + seconds
        while True:
            found = re.search(pattern, self.output)
            if found:
                if drop:
                    self.output = self.output[found.end():]
                return found
            if not self._read(end - time.monotonic()):
                raise Failure(f'no {pattern!r} in {self.output[-300:]!r}')

    def before(self, pattern):
        """Reads on until pattern, and forgets all to its end.  What came before it."""
        found = self.expect(pattern)
        return found.string[:found.start()]

    def never(self, pattern, seconds=0.5):
        end = time.monotonic() + seconds
        while self._read(end - time.monotonic()):
            pass
        if re.search(pattern, self.output):
            raise Failure(f'{pattern!r} in {self.output[-300:]!r}')

    def _read(self, seconds):
        if seconds <= 0 or not select.select([self.master], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self.master, 65536)
        except OSError as e:
            if e.errno != errno.EIO:  # all have closed it
                raise
            data = b''
        self.output += data.decode(errors='replace')
        return bool(data)

    # ---- the one who waits ----

    def wait(self, seconds=WAIT):
        """The exit status as a shell gives it."""
        end = time.monotonic() + seconds
        while self.status is None:
            pid, status, usage = os.wait4(self.pid, os.WNOHANG)
            if pid:
                self.cpu_seconds = usage.ru_utime + usage.ru_stime  # of all below it, too
                code = os.waitstatus_to_exitcode(status)
                self.status = code if code >= 0 else 128 - code
            elif time.monotonic() > end:
                raise Failure(f'still running; last said {self.output[-300:]!r}')
            elif self.master < 0 or not self._read(0.02):
                time.sleep(0.02)
        return self.status

    def hang_up(self):
        os.close(self.master)
        self.master = -1

    def close(self):
        if self.status is None:
            for pid in descendants(self.pid) + [self.pid]:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            os.waitpid(self.pid, 0)
            self.status = -1
        if self.master >= 0:
            self.hang_up()


def processes():
    """pid -> (parent, state, name)"""
    found = {}
    for name in os.listdir('/proc'):
        if not name.isdigit():
            continue
        try:
            with open(f'/proc/{name}/stat') as f:
                before, after = f.read().rsplit(')', 1)
        except OSError:
            continue
        fields = after.split()
        found[int(name)] = (int(fields[1]), fields[0], before.split('(', 1)[1])
    return found


def descendants(pid):
    all_of_them, found, grew = processes(), [pid], True
    while grew:
        more = [p for p, (parent, _, _) in all_of_them.items() if parent in found and p not in found]
        grew = bool(more)
        found += more
    return found[1:]


def eventually(what, condition, seconds=WAIT):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise Failure(f'not in time: {what}')
        time.sleep(0.02)


def all_gone(pids):
    def condition():
        now = processes()
        return not [p for p in pids if p in now and now[p][1] != 'Z']
    return condition
