"""One trial: a daemon under a random graph of work, and what is done to it; all from one seed.

What is done is drawn before anything is, so that it does not depend on how long things take.
"""

from __future__ import annotations

import signal
import subprocess
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from random import Random

import httpx

from tests.api.daemon import NATIVE, PATIENCE, wait_for
from tests.chaos.accounts import differences
from tests.chaos.evidence import Evidence
from tests.chaos.ground import ground
from tests.chaos.stage import Stage

_WORDS = 60
"""Lines of the daemons that are shown of a trial that failed."""
_STATUS = f"{NATIVE}/GetStatus"


class Trial(Stage):
    """What is done to the daemon, by chance."""

    @contextmanager
    def _meanwhile(self, random: Random) -> Iterator[None]:
        """Something is asked for at the same time, and what is done comes a moment later."""
        ask = random.choice([self.start_task, self.start_task, self.stop_one])
        asking = threading.Thread(target=ask, args=(Random(random.random()),))
        asking.start()
        time.sleep(random.choice([0.0, 0.002, 0.01, 0.03, 0.1]))
        yield
        asking.join(PATIENCE)

    def kill_daemon(self, random: Random) -> None:
        """While it is asked for something; the next one takes over."""
        with self._harm("daemon"):
            with self._meanwhile(random):
                self._kill_daemon()
            self.start(keeps=random.random() < 0.5)

    def kill_beginner(self, random: Random) -> None:
        """Kill a daemon, and the next one while it takes over."""
        with self._harm("daemon"):
            self._kill_daemon()
            with subprocess.Popen(
                self.under.command(),
                env=self.one.environment(self._settings()),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            ) as beginner:
                time.sleep(random.choice([0.3, 0.5, 0.6, 0.7, 0.8, 1.0]))
                beginner.kill()
            self.start(keeps=random.random() < 0.5)

    def kill_supervisor(self, random: Random) -> None:
        """The daemon goes on."""
        with self._harm("supervisor"), self._meanwhile(random):
            self.under.kill_supervisors()

    def kill_both(self, random: Random) -> None:
        """One after the other, in either order."""
        with self._harm("both"):
            with self._meanwhile(random):
                if random.random() < 0.5:
                    self.under.kill_supervisors()
                self._kill_daemon()
                self.under.kill_supervisors()
            self.start(keeps=random.random() < 0.5)

    def kill_clients(self, random: Random) -> None:
        """The clients of the engine of containers, now and once more a moment later."""
        if self.graph.contained:
            with self._harm("client"):
                self.under.kill_clients()
                self.wait(random)
                self.under.kill_clients()

    def end_gracefully(self, random: Random) -> None:
        """As a stop or a restart does; what runs is stopped, or goes on, as it was told at its start."""
        with self._harm("keep" if self.keeps else "stop"):
            self._end_gracefully()
            if not self.keeps:
                self.left += self._gone(self.one.ours, "after a stop of the daemon")
            self.start(keeps=random.random() < 0.5)

    def reload(self, random: Random) -> None:
        """The next version takes its place, in the same process."""
        before = self._began()
        with self._harm("reload"):
            self.may_refuse = True
            with self._meanwhile(random):
                ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN  # by nohup: daemons heed that
                number = random.choice([signal.SIGHUP, signal.SIGUSR2])
                self.process.send_signal(signal.SIGUSR2 if ignored else number)
            wait_for(lambda: self._began() not in {"", before}, "the next version answers")
            self.may_refuse = False
            self._meet()

    def _began(self) -> str:
        with suppress(httpx.TransportError), self.one.client() as client:
            answer = client.post(f"/{_STATUS}", json={})
            return str(answer.json()["daemon"]["startedAt"]) if answer.status_code == 200 else ""
        return ""

    def reboot(self, random: Random) -> None:
        """Nothing survives, and the machine has another boot id."""
        if self.under.can_boot:
            with self._harm("reboot"):
                self._kill_daemon()
                self.under.kill_everything()
                self.under.boots += 1
                self.start(keeps=random.random() < 0.5)

    def fill_disk(self, random: Random) -> None:
        """For a moment there is no room; perhaps somebody dies in it."""
        if not self.under.mounted:
            return
        victim = random.choice(["", "", "", "daemon", "supervisor"])
        with self._harm("full"):
            with self.under.full_disk():
                self.may_refuse = True
                self.start_task(random)
                self.wait(random)
                if random.random() < 0.3:
                    self.stop_one(random)
                if victim == "daemon":
                    self._kill_daemon()
            self.may_refuse = False
            if victim == "daemon":
                with self._harm("daemon"):
                    self.start(keeps=random.random() < 0.5)
        if victim == "supervisor":
            self.kill_supervisor(random)

    def run(self, plan: Sequence[str]) -> Evidence:
        """Do it all, let it end, and gather what was seen."""
        names = [name for name, weight in ACTIONS.items() for _ in range(weight)]
        drawn = [self.random.choice(names) for _ in range(self.random.randint(6, 14))]
        plan = plan or drawn
        self.start(keeps=self.random.random() < 0.5)
        for number, name in enumerate(["start_task", *plan]):
            self.one.lines.append(f"{time.time():.3f} -- {name}")
            getattr(self, name)(Random(f"{self.random.random()} {number}"))
        return self.finish()


ACTIONS = {
    "start_task": 7,
    "stop_one": 3,
    "turn_service": 2,
    "wait": 3,
    "kill_daemon": 2,
    "kill_beginner": 1,
    "kill_supervisor": 2,
    "kill_both": 1,
    "kill_clients": 2,
    "end_gracefully": 2,
    "reload": 1,
    "reboot": 1,
    "fill_disk": 1,
}
"""What is done, by the method's name, and how often it is drawn."""


def witness(seed: int, plan: Sequence[str] = ()) -> Evidence:
    """One trial; what was seen. `plan`: actions in place of random ones."""
    with ground() as under:
        return Trial(seed, under).run(plan)


def attempt(seed: int) -> list[str]:
    """One trial; what does not fit, nothing if all is well."""
    with ground() as under:
        trial = Trial(seed, under)
        try:
            wrong = differences(trial.run(()))
        except Exception:  # noqa: BLE001 - whatever it is, it belongs to this seed
            wrong = [traceback.format_exc()]
        done = [f"{one.began:.3f} to {one.ended:.3f}: {one.kind}" for one in trial.harms]
        return [*wrong, *done, *under.one.lines[-_WORDS:]] if wrong else []
