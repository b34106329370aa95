"""What is read or done beside the keys. Every worker of a screen or of the app begins here: what nobody expected of one
is written down as a crash of the console would be, and said where it was begun; the rest of the console goes on."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, cast

from msgspec import Struct
from textual.app import App
from textual.screen import Screen

from backends.errors import BackendError

if TYPE_CHECKING:
    from typing import Concatenate, ParamSpec, TypeVar

    from textual.worker import Worker

    from console.screens.failed import Failed
    from console.screens.host import Host

    Node = Screen[Any] | App[Any]
    N = TypeVar("N", bound=Node)
    P = ParamSpec("P")
    Lost = Callable[[Any, BackendError], object]

READ_AGAIN = "Press r to read again."
PRESS_AGAIN = "Press the key again."
IT_MAY_HAVE_BEGUN = "It may have begun: @ shows what is open."
FAILED = "a part of the console failed"


def lost_words(error: BackendError | TimeoutError) -> str:
    """What is said where an answer did not come."""
    return error.message if isinstance(error, BackendError) else "no answer in time"


class Work(Struct, frozen=True, kw_only=True):
    """What `asked` does for `node`, of which `exclusive` ends those before of its group. It ends with `owner`, where
    that is not the node itself.

    Where it fails unexpectedly: `then` is said last, and `r` does so where that is `READ_AGAIN`; `lost` shows on the
    node that it is not known, as where a source does not answer.
    """

    node: Node
    name: str
    asked: Callable[[], Coroutine[Any, Any, None]]
    group: str = "default"
    exclusive: bool = False
    then: str = READ_AGAIN
    lost: Lost | None = None
    owner: Node | None = None

    def begin(self) -> Worker[None]:
        """As a worker."""
        owner = self.owner or self.node
        return owner.run_worker(self.run, name=self.name, group=self.group, exclusive=self.exclusive)

    async def run(self) -> None:
        """Do it, and tell of what nobody expected; of what ends with its screen not once that is left."""
        try:
            await self.asked()
        except Exception as error:
            if self.owner is not None or self._is_seen:
                self._tell(error)
        else:
            if self._is_seen and (line := _line(self._screen)) is not None:
                line.works(self.name)

    def _tell(self, error: Exception) -> None:
        host = cast("Host", self.node.app)
        defects = host.session.store.defects
        words = f"{defects.of(error)} {self.then}"
        if not self._is_seen:
            host.say(words)
            return
        if self._screen is not host.screen:
            host.say(words)
        tell(self._screen, self.name, words, self.begin if self.then == READ_AGAIN else None)
        if self.lost is not None:
            try:
                self.lost(self.node, BackendError("internal", FAILED, fix="it is said at the top"))
            except Exception as second:  # what fails may be what shows it
                tell(self._screen, f"{self.name}, lost", f"{defects.of(second)} {self.then}")

    @property
    def _screen(self) -> Screen[Any]:
        """Where it is said: of the app on what lies below all."""
        return self.node.screen_stack[0] if isinstance(self.node, App) else self.node

    @property
    def _is_seen(self) -> bool:
        """Whether there are widgets to show anything: a screen that is left loses them while its work ends."""
        return self.node.is_running and (isinstance(self.node, App) or self.node in self.node.app.screen_stack)


def work(
    *, group: str = "default", exclusive: bool = False, then: str = READ_AGAIN, lost: Lost | None = None
) -> Callable[[Callable[Concatenate[N, P], Coroutine[Any, Any, None]]], Callable[Concatenate[N, P], Worker[None]]]:
    """A method that begins what it says as `Work`."""

    def of(method: Callable[Concatenate[N, P], Coroutine[Any, Any, None]]) -> Callable[Concatenate[N, P], Worker[None]]:
        @wraps(method)
        def begun(node: N, /, *args: P.args, **kwargs: P.kwargs) -> Worker[None]:
            asked = partial(method, node, *args, **kwargs)
            name = method.__name__
            return Work(
                node=node, name=name, asked=asked, group=group, exclusive=exclusive, then=then, lost=lost
            ).begin()  # fmt: skip

        return begun

    return of


def tell(screen: Screen[Any], name: str, words: str, again: Callable[[], object] | None = None) -> None:
    """Say above all of a screen that a part of it failed, and how `read_again` begins that anew."""
    from console.screens.failed import Failed, Part

    line = _line(screen)
    if line is None:
        line = Failed()
        screen.mount(line)
    line.put(name, Part(words, again))


def read_again(screen: Screen[Any]) -> None:
    """Begin anew what of a screen could not be read."""
    if (line := _line(screen)) is not None:
        line.again()


def _line(screen: Screen[Any]) -> Failed | None:
    """That of a screen on which anything failed; without an import, since the first paint needs none of it."""
    return cast("Failed | None", next(iter(screen.query("Failed")), None))
