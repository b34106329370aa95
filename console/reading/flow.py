"""What flows where, by name: a pipeline writes datasets, these feed services and what is made of them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

from backends.models import QualityScore
from console.ports.links import Links

Place = tuple[str, str]
"""What kind of thing it is (`pipeline`, `dataset`, `service` or another one of `links.labels`), and its name."""
SHORTEST = 4
DEEPEST = 8
MOST = 500


class Flow:
    """The graph of `links` and of the lineage that `scores` know. No I/O; a name is looked up, never compared."""

    def __init__(self, links: Links, scores: Iterable[QualityScore] = ()) -> None:
        self._above: defaultdict[Place, dict[Place, None]] = defaultdict(dict)
        self._written: defaultdict[Place, dict[Place, None]] = defaultdict(dict)
        self._called: defaultdict[str, dict[Place, None]] = defaultdict(dict)
        self._hops: dict[Place, list[list[Place]]] = {}
        self._subjects: set[str] = set()
        writers: defaultdict[str, list[Place]] = defaultdict(list)
        for row in links.rows:
            written = [("dataset", name) for name in row.datasets]
            for dataset in written:
                writers[dataset[1]].append(("pipeline", row.pipeline))
            if row.pipeline:
                self._written["pipeline", row.pipeline].update(dict.fromkeys(written))
                self._flows([("pipeline", row.pipeline)], written)
            self._flows(written or [("pipeline", row.pipeline)], [("service", name) for name in row.services])
        for score in scores:
            read = [("dataset", score.dataset)]
            own = set(writers.get(score.dataset, ()))
            for name in score.downstream:
                self._flows(read, [("dataset", name), *(place for place in writers.get(name, ()) if place not in own)])

    def _flows(self, from_: Sequence[Place], to: Sequence[Place]) -> None:
        for place in (*from_, *to):
            if place[1]:
                self.meet(place)
        for below in to:
            above = [place for place in from_ if place[1] and place != below]
            self._above[below].update(dict.fromkeys(above))
            self._subjects.update(word for place in above for word in _parts(place) & _parts(below))

    def meet(self, place: Place) -> None:
        """It is known by its name from now on."""
        self._called[place[1].casefold()][place] = None

    def learn(self, from_: Place, to: Place) -> None:
        """What failed at `to` names `from_`, which it reads, unless that is known to be made of it."""
        if from_ != to and to not in {place for hop in self.above(from_) for place in hop}:
            self._above[to][from_] = None
            self._hops.clear()

    @property
    def names(self) -> set[str]:
        """What is known by name, in small letters."""
        return set(self._called)

    def called(self, name: str) -> tuple[Place, ...]:
        """What is called so, whatever it is."""
        return tuple(self._called.get(name.casefold(), ()))

    def subjects(self, place: Place) -> set[str]:
        """The words of its name that what flows keeps: of `ingest_orders`, which writes `raw_orders`, `orders`. Who
        names things so elsewhere means the same, where nobody has written down what flows."""
        return _parts(place) & self._subjects

    def is_linked(self, place: Place) -> bool:
        """Whether it is known what flows there."""
        return place in self._above

    def written(self, place: Place) -> Iterable[Place]:
        """The datasets that a pipeline writes, which its runs may look at themselves."""
        return self._written.get(place, ())

    def above(self, place: Place) -> list[list[Place]]:
        """What flows there, by the number of steps, the nearest first."""
        if place not in self._hops:
            seen, hops = {place}, [[place]]
            while hops[-1] and len(hops) <= DEEPEST and len(seen) < MOST:
                found = dict.fromkeys(
                    each for below in hops[-1] for each in self._above.get(below, ()) if each not in seen
                )
                seen.update(found)
                hops.append(list(found))
            self._hops[place] = [hop for hop in hops[1:] if hop]
        return self._hops[place]


def _parts(place: Place) -> set[str]:
    return {part for part in re.split(r"[\W_]+", place[1].casefold()) if len(part) >= SHORTEST}
