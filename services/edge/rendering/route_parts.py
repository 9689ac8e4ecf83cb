"""The words that routes are made of: what they match, what they say to filters, and what they add to answers."""

import re

from services.edge.rendering.json_fields import JSON_FILTER
from services.edge.rendering.parts import Json, switched_off
from services.edge.rendering.rates import METADATA, RATE_FILTER
from services.edge.rendering.screening import SCREEN_FILTER
from services.edge.rendering.tokens import CLAIMS_FILTER, JWT_FILTER

TRANSCODER_FILTER = "envoy.filters.http.grpc_json_transcoder"
# Under this name a route's metadata says with which verbs of HTTP its path is called, where it was another.
VERBS = "verbs"
OF_METHODS, OF_PAGES, OF_CONTENT = "POST", "GET, HEAD", "GET, HEAD, PUT"


def method_is(method: str) -> Json:
    """Match one verb of HTTP."""
    return {"name": ":method", "string_match": {"exact": method}}


def method_is_of(verbs: str) -> Json:
    """Match several verbs, as `allow` lists them."""
    return {"name": ":method", "string_match": {"safe_regex": {"regex": verbs.replace(", ", "|")}}}


def path_is(**match: str) -> Json:
    """Match the path with its query, which the path of a route is compared without."""
    return {"name": ":path", "string_match": match}


def takes(header: str, value: str) -> list[Json]:
    """Match a header such as `accept` where it names a value, and not with a weight of 0 (`q=0`)."""
    named = rf"(?i)(.*,)?\s*{re.escape(value)}\s*"
    refused = named + r"(;[^,]*)?;\s*q=0(\.0*)?\s*([;,].*)?"
    return [
        {"name": header, "string_match": {"safe_regex": {"regex": named + "([;,].*)?"}}},
        {"name": header, "string_match": {"safe_regex": {"regex": refused}}, "invert_match": True},
    ]


def response_header(name: str, value: str) -> Json:
    """Set a header of the answer."""
    return {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}


def for_anyone() -> Json:
    """Return what a route says to the filters that look at tokens, rates and messages: that it does without them."""
    off = (JWT_FILTER, CLAIMS_FILTER, RATE_FILTER, JSON_FILTER, TRANSCODER_FILTER, SCREEN_FILTER)
    return {name: switched_off() for name in off}


def other_verbs(path: Json, verbs: str) -> Json:
    """Say to whoever has the path and not the verb which it is."""
    return {
        "match": path,
        "direct_response": {"status": 405},
        "response_headers_to_add": [response_header("allow", verbs)],
        "metadata": {"filter_metadata": {METADATA: {VERBS: verbs}}},
        "typed_per_filter_config": for_anyone(),
    }


def page(path: str, content_type: str, body: Json, **headers: str) -> Json:
    """Return the route of a page, with further headers."""
    told = {"content-type": content_type, **headers}
    return {
        "match": {"path": path, "headers": [method_is_of(OF_PAGES)]},
        "direct_response": {"status": 200, "body": body},
        "response_headers_to_add": [response_header(name, value) for name, value in told.items()],
        "typed_per_filter_config": for_anyone(),
    }
