"""An answer of boto3, which is a dict, as the Struct that says what is read of it."""

from typing import Any, TypeVar

import msgspec

from backends.errors import BackendError
from backends.redaction import quoted

T = TypeVar("T")
FIX = "check `aws.endpoint_url`: this is no answer of AWS"


def told(answer: Any, shape: type[T], where: str) -> T:
    """Raises BackendError(malformed) where it has not what the API always has."""
    try:
        return msgspec.convert(answer, shape)
    except msgspec.ValidationError as error:
        raise BackendError("malformed", f"{where}: {quoted(str(error))}", fix=FIX) from None
