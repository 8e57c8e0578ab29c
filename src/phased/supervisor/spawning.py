"""One step's process: what it is started with, and what it finds around itself (rule 16).

Knows shells, environments and limits. Must not know sockets, journals or results.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import signal

from phased.supervisor.cgroups import Cgroups
from phased.supervisor.identity import hand_over

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from phased.supervisor.actions import Actions

RUN_VARIABLE = "PHASED_RUN_ID"
_LONGEST_ARGUMENT = 131072  # MAX_ARG_STRLEN with its end, execve(2)
_QUEUES_STILL_OPEN = 86_000
"""Message queues can be opened with a limit of this many bytes (tried, rule 20)."""
_WITHOUT_LIMIT = 1 << 40
_MARKS = 25_000
"""More than one supervisor ever starts runs."""


class NotStartable(Exception):
    """A command cannot be started; the message is a phrase that says why."""


class Marks:
    """The mark of last resort (rule 20): a number of each run that every child inherits and nothing clears.

    It is the soft RLIMIT_MSGQUEUE, which `env -i setsid` and double forks keep, and /proc/PID/limits tells.
    """

    __slots__ = ("_hard", "_next", "_own", "current", "runs")

    def __init__(self, generation: int) -> None:
        """Reads this process's own limit, which is set back after each bunch.

        Each generation has marks of its own: what one left behind lives on beside the next one's runs.
        """
        self._own, self._hard = resource.getrlimit(resource.RLIMIT_MSGQUEUE)
        unlimited = self._hard == resource.RLIM_INFINITY
        top = _WITHOUT_LIMIT if unlimited else self._hard
        places = max((top - _QUEUES_STILL_OPEN) // _MARKS, 1)
        place = generation % places
        if _QUEUES_STILL_OPEN < self._own < top and place == (top - 1 - self._own) // _MARKS:
            place = (place + 1) % places  # we are in a step of another supervisor, which has these
        self._next = top - _MARKS * place
        self.current = 0
        """The newest, 0 where there is no room for any."""
        self.runs: dict[int, str] = {}
        """Whose each mark is. One supervisor starts fewer runs than there are marks."""

    def put(self, run_id: str) -> None:
        """What is started next bears the mark of this run. Without room there are no marks."""
        if self._next - 1 < _QUEUES_STILL_OPEN:
            self.clear()
            self.current = 0
            return
        self._next -= 1
        self.current = self._next
        self.runs[self._next] = run_id
        resource.setrlimit(resource.RLIMIT_MSGQUEUE, (self._next, self._hard))

    def clear(self) -> None:
        """Back to what this process was started with."""
        resource.setrlimit(resource.RLIMIT_MSGQUEUE, (self._own, self._hard))


class Spawner:
    """Starts commands. Between `begin` and `end` of a bunch this process looks as a step shall see it."""

    __slots__ = (
        "_actions",
        "_base",
        "_directory",
        "_files",
        "_shell",
        "_to_default",
        "_umask",
        "cgroups",
        "marks",
    )

    def __init__(self, actions: Actions, generation: int) -> None:
        """Takes note of what this process was started with, and makes room for many descriptors."""
        self._actions = actions
        self._base: dict[str, str] = {}
        self._shell = "sh"
        self._umask = 0o022
        self._directory = "/"
        self._to_default = signal.valid_signals()  # all: posix_spawn asks about each that is not named
        self._files = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.marks = Marks(generation)
        self.cgroups = Cgroups()
        self.end()

    def equip(self, environment: Mapping[str, str], shell: str, umask: int) -> None:
        """What every step is started with from now on."""
        self._base = dict(environment)
        self._shell = shell
        self._umask = umask

    def begin(self) -> None:
        """Take on the looks of a step."""
        os.umask(self._umask)
        # Programs with select(2) break where the soft limit is large, so steps get the original one.
        resource.setrlimit(resource.RLIMIT_NOFILE, self._files)

    def end(self) -> None:
        """Be the supervisor again: its own umask, its own directory, room for many descriptors."""
        os.umask(0o077)
        resource.setrlimit(resource.RLIMIT_NOFILE, (self._files[1], self._files[1]))
        self.marks.clear()
        self.cgroups.leave()
        if self._directory != "/":
            os.chdir("/")
            self._directory = "/"

    def start(self, run_id: str, request: Mapping[str, str], own: Mapping[str, str], output: int) -> int:
        """Start one command; its pid. `output` becomes its standard output and error.

        Raises NotStartable.
        """
        self._enter(request["directory"])
        environment = {**self._base, **own, RUN_VARIABLE: run_id, "PWD": request["directory"]}
        argv = [self._shell, "-c", self._script(request)]
        self.marks.put(run_id)
        self.cgroups.enter(run_id)
        try:
            return self._actions.spawn(argv, environment, output, self._to_default)
        except OSError as error:
            raise NotStartable(self._why(error, environment)) from error
        except ValueError as error:
            raise NotStartable(f"its command or environment is not possible: {error}") from error

    def _enter(self, directory: str) -> None:
        if directory == self._directory:
            return
        try:
            os.chdir(directory)
        except OSError as error:
            what = "no such directory" if error.errno == errno.ENOENT else error.strerror
            raise NotStartable(f"{_phrase(what)}: {directory}") from error
        except ValueError as error:
            raise NotStartable(f"no such directory: {directory!r}") from error
        self._directory = directory

    def _script(self, request: Mapping[str, str]) -> str:
        """The command, or where it is longer than an argument may be, one that reads it from a file."""
        command = request["command"]
        if not is_long(command):
            return command
        path = script_path(request["log"])
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            hand_over(descriptor)
            with open(descriptor, "wb") as file:
                file.write(os.fsencode(command))
        except OSError as error:
            raise NotStartable(f"its script cannot be kept in {path}: {error.strerror}") from error
        quoted = path.replace("'", "'\\''")
        return f". '{quoted}'"

    def _why(self, error: OSError, environment: Mapping[str, str]) -> str:
        if error.errno == errno.ENOENT:
            return f"no such shell: {self._shell}"
        if error.errno == errno.E2BIG:
            size = sum(len(key) + len(value) + 2 for key, value in environment.items())
            return f"its environment ({size} bytes) is larger than the system allows"
        return f"{_phrase(error.strerror)}: {self._shell}"


def is_long(command: str) -> bool:
    """Whether a command cannot be one argument."""
    return len(command) * 4 >= _LONGEST_ARGUMENT and len(os.fsencode(command)) >= _LONGEST_ARGUMENT


def script_path(log: str) -> str:
    """Where a script that is too long for an argument is kept while it runs."""
    return f"{log}.script"


def normalise_priority() -> None:
    """Steps do not inherit a protection that the daemon has: nice and oom_score_adj go up to normal."""
    if os.getpriority(os.PRIO_PROCESS, 0) < 0:
        os.setpriority(os.PRIO_PROCESS, 0, 0)
    with (
        contextlib.suppress(OSError, ValueError),
        open("/proc/self/oom_score_adj", "r+b", buffering=0) as file,
    ):
        if int(file.read()) < 0:
            file.write(b"0")


def _phrase(text: str | None) -> str:
    """A system's message as the beginning of a phrase: `permission denied`."""
    return (text or "unknown error").lower()
