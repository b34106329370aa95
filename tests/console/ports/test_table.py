"""The table of ports: what it names as text is there, and every adapter of the house is of one of its ports."""

from typing import Any

import pytest

from backends.registry import ADAPTERS
from console.cli.things import documents_of
from console.ports.record import Port, loaded
from console.ports.table import PORTS, port_of, readings
from panels.columns import Kind


@pytest.mark.parametrize("port", PORTS.values(), ids=list(PORTS))
def test_what_a_record_names_is_there(port: Port[Any, Any]) -> None:
    assert callable(loaded(port.screen))
    assert all(documents_of(port).values())
    for text in (port.show, port.noun.command if port.noun else "", port.noun.lines if port.noun else ""):
        assert not text or callable(loaded(text))
    if port.place is not None and port.place.kind:
        assert isinstance(loaded(port.place.kind), Kind)
    assert {*(port.reading.beside if port.reading else ())} <= PORTS.keys()


def test_the_adapters_of_the_house_are_of_its_ports() -> None:
    assert {key.partition(".")[0] for key in ADAPTERS} == PORTS.keys()


def test_an_item_is_of_one_port_and_a_key_leads_to_one_panel() -> None:
    items = [reading.item for _, reading in readings()]
    assert len({*items}) == len(items)
    keys = [port.place.key for port in PORTS.values() if port.place and port.place.key]
    assert len({*keys}) == len(keys)
    assert port_of(object()) is None
