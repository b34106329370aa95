"""What of an entry only a way forward needs: where it does not fit, that is forbidden, and no way back."""

from typing import Any

import msgspec
from msgspec import Struct

from backends.settings import decode_hook

_ONLY_FORWARD = frozenset({
    "smoke", "stages", "stage_time", "bake", "rollback_window", "presets", "metrics", "gates", "preset_labels",
    "requires", "deploy", "retire",
})  # fmt: skip
_PORTS = frozenset({"deployments"})  # those whose entries have a way back


def without_misfits(port: str, data: dict[str, Any], shape: type[Struct]) -> tuple[dict[str, Any], str]:
    """`data` of an entry of `port` without what only a way forward needs and that does not fit `shape`, and what is
    wrong with it, in words; as it is, and nothing, where all fits."""
    fitting, wrong = dict(data), []
    for found in msgspec.structs.fields(shape) if port in _PORTS else ():
        if found.encode_name in _ONLY_FORWARD and found.encode_name in data:
            try:
                msgspec.convert(data[found.encode_name], found.type, dec_hook=decode_hook)
            except msgspec.ValidationError as error:
                wrong.append(f"{found.encode_name}: {error}")
                del fitting[found.encode_name]
    return fitting, "; ".join(wrong)
