"""Holds JSON of the edge's against its OpenAPI document."""

import copy
from typing import Any

from jsonschema import Draft202012Validator

from services.edge.reference.openapi import document
from services.runtime.contract.policies import Limits

Json = dict[str, Any]
DOCUMENT = document(Limits(), "0.1.0")


def _strict() -> Json:
    """Return the schemas with no other field than they have: an answer of this release has none that is not there."""
    schemas: Json = copy.deepcopy(DOCUMENT["components"]["schemas"])
    for name, schema in schemas.items():
        if name.startswith("chatkit.") and "properties" in schema:
            schema["additionalProperties"] = False
    return schemas


_STRICT = _strict()


def faults(name: str, told: object) -> list[str]:
    """List what in a value is not as the schema of this name says."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": _STRICT}}
    return [f"{error.json_path}: {error.message}" for error in Draft202012Validator(schema).iter_errors(told)]
