"""What a Struct of the config says of itself and of each of its keys: in its docstring, as `key: sentence` lines.

```
class TcpCheckConfig(Struct):
    \"\"\"Where to connect to.

    host: a name or an address.
    port: its TCP port; a sentence that is longer goes on
        in lines that are indented.
    \"\"\"
```
"""

import re
from inspect import cleandoc
from typing import Any

import msgspec

from actions.judging.metric_gates import MetricGate
from actions.switching.requirements import Requires
from backends.deployments.common import DeploymentConfig

_KEY = re.compile(r"([a-z_]+): (.+)")
_DECODED_LATER: dict[str, Any] = {"gates": tuple[MetricGate, ...], "requires": Requires}


def type_of(shape: type[msgspec.Struct], field: msgspec.structs.FieldInfo) -> Any:
    """The type of a field, also of what stays plain data in a deployment until a release is judged by it."""
    return _DECODED_LATER.get(field.name, field.type) if issubclass(shape, DeploymentConfig) else field.type


def words_of(shape: type[msgspec.Struct]) -> tuple[str, dict[str, str]]:
    """What `shape` is, and a sentence for each key as TOML has it, in the order of its fields; also those of its bases.
    A key without a sentence is not in it."""
    keys = [field.encode_name for field in msgspec.structs.fields(shape)]
    about, found = "", dict[str, str]()
    for base in reversed(shape.__mro__):
        about, own = _parted(base.__doc__ or "", keys)
        found |= own
    return about, {key: found[key] for key in keys if key in found}


def _parted(text: str, keys: list[str]) -> tuple[str, dict[str, str]]:
    about: list[str] = []
    found: dict[str, str] = {}
    key = ""
    for line in cleandoc(text).splitlines():
        begun = _KEY.fullmatch(line)
        if begun and begun[1] in keys:
            key = begun[1]
            found[key] = begun[2]
        elif key and line.startswith(" "):
            found[key] += f" {line.strip()}"
        else:
            key = ""
            about.append(line)
    return "\n".join(about).strip(), found
