"""What a session of PostgreSQL is told before it is relied on, whatever its role, its database or its server has set.

Within each transaction: PgBouncer refuses most settings as options of a connection, and gives each transaction a
session that may be another, and that others use after it. https://www.postgresql.org/docs/current/runtime-config-client.html
"""

from collections.abc import Mapping

FORMATS: Mapping[str, str] = {
    "datestyle": "ISO",  # of a literal, day and month stay in the order that they had
    "intervalstyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "3",
}
"""How values are written: drivers read no other dates, and a float is the one that is stored."""


def set_local(settings: Mapping[str, str]) -> str:
    """One statement for all of them, until the transaction ends. One that a server of this version does not know is
    left out."""
    values = ", ".join(f"('{name}', '{value}')" for name, value in settings.items())
    return (
        f"SELECT pg_catalog.set_config(name, value, true) FROM (VALUES {values}) AS told (name, value) "
        "WHERE pg_catalog.current_setting(name, true) IS NOT NULL"
    )
