"""How an error spells the fields of a request: as they were sent, which in JSON is lowerCamelCase."""

import re
from collections.abc import Iterator

from google.protobuf.descriptor import Descriptor

from services.runtime.calls.call import Context, header_of
from services.runtime.contract.errors import ChatkitError, Violation

# The edge's transcoder leaves it on every call that it has made of JSON.
_OF_JSON = "x-envoy-original-path"
_WORDS = re.compile(r"[a-z0-9]+(?:_[a-z0-9]+)+")


def is_json(context: Context) -> bool:
    """Tell whether a call was made in JSON."""
    return bool(header_of(context, _OF_JSON))


class JsonNames:
    """The names that the fields of one request, and of what is in it, have in JSON."""

    def __init__(self, request: Descriptor) -> None:
        self._names = dict(_names(request, set()))

    def spelled(self, error: ChatkitError) -> ChatkitError:
        """Return the error with its fields, wherever they are named, as JSON has them."""
        metadata = dict(error.metadata)
        if "field" in metadata:
            metadata["field"] = self._text(metadata["field"])
        return type(error)(
            error.reason,
            self._text(error.message),
            metadata=metadata,
            violations=[
                Violation(self._text(violation.field), self._text(violation.description))
                for violation in error.violations
            ],
            quota=error.quota,
            retry_after=error.retry_after,
        )

    def _text(self, text: str) -> str:
        return _WORDS.sub(lambda found: self._names.get(found[0], found[0]), text)


def _names(message: Descriptor, seen: set[str]) -> Iterator[tuple[str, str]]:
    seen.add(message.full_name)
    for field in message.fields:
        yield field.name, field.json_name
        if field.message_type is not None and field.message_type.full_name not in seen:
            yield from _names(field.message_type, seen)
