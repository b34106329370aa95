"""How long the console of a protected context may write: 15 idle minutes, 60 at most."""

from collections.abc import Callable

IDLE_S = 15 * 60.0
LONGEST_S = 60 * 60.0


class Arming:
    """Armed by a key, disarmed by a key, by idleness, by time, or because the program was stopped and continued."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since: float | None = None
        self._touched = 0.0

    @property
    def armed(self) -> bool:
        """True while writes that need it are possible."""
        if self._since is None:
            return False
        now = self._clock()
        if now - self._touched >= IDLE_S or now - self._since >= LONGEST_S:
            self._since = None
        return self._since is not None

    def arm(self) -> None:
        """Allow writes from now on."""
        self._since = self._touched = self._clock()

    def disarm(self) -> None:
        """Allow none."""
        self._since = None

    def touch(self) -> None:
        """A key was pressed: whoever armed it is still here. Too late where the time is up."""
        if self.armed:
            self._touched = self._clock()
