"""The words that Envoy's configuration is made of, shared by everything that renders a piece of it."""

from typing import Any

Json = dict[str, Any]

_EXTENSIONS = "type.googleapis.com/envoy.extensions"
_FILTER_CONFIG = "type.googleapis.com/envoy.config.route.v3.FilterConfig"


def typed(name: str, kind: str, **fields: Any) -> Json:
    """Return a named extension with its configuration; `kind` is its type below envoy.extensions."""
    return {"name": name, "typed_config": extension(kind, **fields)}


def extension(kind: str, **fields: Any) -> Json:
    """Return the configuration of an extension."""
    return {"@type": f"{_EXTENSIONS}.{kind}", **fields}


def switched_on() -> Json:
    """Return a route's word for a filter that is off unless a route wants it."""
    return {"@type": _FILTER_CONFIG, "config": {}}


def switched_off() -> Json:
    """Return a route's word for a filter that it does without."""
    return {"@type": _FILTER_CONFIG, "disabled": True}


def address(text: str) -> Json:
    """Return host:port as Envoy's address. Raises a ValueError."""
    port = text.rpartition(":")[2]
    if not host_of(text) or not port.isdecimal():
        raise ValueError(f"{text!r} is not host:port")
    return {"socket_address": {"address": host_of(text), "port_value": int(port)}}


def host_of(text: str) -> str:
    """Return the host of host:port, an IPv6 address without its brackets."""
    return text.rpartition(":")[0].strip("[]")


def pipe_cluster(name: str, path: str) -> Json:
    """Return a cluster of one Unix socket."""
    endpoint = {"endpoint": {"address": {"pipe": {"path": path}}}}
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
