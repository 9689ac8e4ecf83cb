"""An SBOM as CycloneDX 1.6 has it. The same commit and the same pins make the same bytes."""

import json
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from services.stack.shipped.components import Component, components
from services.stack.shipped.packages import OWN, required_by_own

Json = dict[str, Any]

_NAMESPACE = uuid.UUID("5f1f2c9e-0f5b-5d0a-9a5e-6c1f0d6a4a11")


def document(image: str, commit: str, made_at: datetime | None) -> Json:
    """Describe what an image, or `stack`, has. Raises Trouble where other packages are installed than are pinned.

    `commit` may be empty. Of a package all hashes are told that its file may have, one for each system.
    """
    found = components(image)
    root = _root(image, commit)
    told: Json = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {**({"timestamp": made_at.astimezone(UTC).isoformat()} if made_at else {}), "component": root},
        "components": [_component(one) for one in found],
        "dependencies": list(_dependencies(root["bom-ref"], image, found)),
    }
    # It names what it says: an SBOM of something else has another.
    return {**told, "serialNumber": uuid.uuid5(_NAMESPACE, json.dumps(told, sort_keys=True)).urn}


def _root(image: str, commit: str) -> Json:
    name = OWN if image == "stack" else f"{OWN}-{image}"
    own = version(OWN)
    commits = [{"name": "chatkit:commit", "value": commit}] if commit else []
    described = {"type": "application", "bom-ref": f"{name}@{own}", "name": name, "version": own}
    return {**described, "licenses": _licences("Apache-2.0"), **_unless_empty({"properties": commits})}


def _component(one: Component, within: str = "") -> Json:
    """Describe a component; what is inside of another is named after it too, since several may have the same inside."""
    described = {
        "type": "library",
        "bom-ref": f"{within}#{one.purl}" if within else one.purl,
        "name": one.name,
        "version": one.version,
        "licenses": _licences(one.licence),
        "purl": one.purl,
        "hashes": [{"alg": algorithm, "content": digits} for algorithm, digits in one.hashes],
        "components": [_component(inner, one.purl) for inner in dict.fromkeys(one.contains)],
    }
    return _unless_empty(described)


def _licences(expression: str) -> list[Json]:
    if not expression:
        return []
    return [{"expression": expression} if " " in expression else {"license": {"id": expression}}]


def _dependencies(root: str, image: str, found: list[Component]) -> Iterator[Json]:
    """Yield which component requires which; what has been built into the console is required by the whole."""
    purls = {one.name: one.purl for one in found if one.purl.startswith("pkg:pypi/")}
    built_in = [one.purl for one in found if one.name not in purls]
    yield {"ref": root, "dependsOn": sorted([*(purls[name] for name in required_by_own(image)), *built_in])}
    for one in found:
        yield {"ref": one.purl, "dependsOn": [purls[name] for name in one.requires]}


def _unless_empty(described: Mapping[str, Any]) -> Json:
    return {name: value for name, value in described.items() if value}
