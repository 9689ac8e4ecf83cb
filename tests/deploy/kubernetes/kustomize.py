"""operations/kubernetes as kustomize builds it: of kustomize there is here what the folder uses, and no other feature.

The names of ConfigMaps and Secrets are without the hashes of their contents.
"""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

Json = dict[str, Any]
_FEATURES = {"apiVersion", "kind", "namespace", "resources", "components", "images", "patches"}
_GENERATORS = {"configMapGenerator": "ConfigMap", "secretGenerator": "Secret"}
_OF_A_GENERATOR = {"name", "behavior", "envs", "files", "options"}
_CLUSTERS = {"Namespace"}


def build(folder: Path) -> list[Json]:
    """Return the objects that are applied."""
    return _accumulate(folder, [])


def _accumulate(folder: Path, objects: list[Json]) -> list[Json]:
    """Add what a kustomization or a component has to the objects that are there, and change those as it says."""
    told = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert told.keys() <= {*_FEATURES, *_GENERATORS}, f"{folder} uses what is not read here"
    for name in told.get("resources", []):
        objects += build(folder / name) if (folder / name).is_dir() else _documents(folder / name)
    for name in told.get("components", []):
        _accumulate(folder / name, objects)
    for key, kind in _GENERATORS.items():
        for generator in told.get(key, []):
            _generate(folder, kind, generator, objects)
    for patch in told.get("patches", []):
        _patch(patch["target"], yaml.safe_load((folder / patch["path"]).read_text()), objects)
    images = {image["name"]: f"{image['newName']}:{image['newTag']}" for image in told.get("images", [])}
    for container in (container for one in objects for container in containers(one)):
        container["image"] = images.get(container["image"], container["image"])
    for one in objects:
        if "namespace" in told and one["kind"] not in _CLUSTERS:
            one["metadata"]["namespace"] = told["namespace"]
    return objects


def _documents(path: Path) -> list[Json]:
    return [one for one in yaml.safe_load_all(path.read_text()) if one]


def _generate(folder: Path, kind: str, told: Json, objects: list[Json]) -> None:
    assert told.keys() <= _OF_A_GENERATOR
    data: dict[str, str] = {}
    for name in told.get("envs", []):
        lines = [line for line in (folder / name).read_text().splitlines() if line and not line.startswith("#")]
        data |= {key: value for key, _, value in (line.partition("=") for line in lines)}
    for name in told.get("files", []):
        key, _, path = name.rpartition("=")
        data[key or Path(path).name] = (folder / path).read_text()
    if kind == "Secret":
        data = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    if told.get("behavior") == "merge":
        find(objects, kind, told["name"])["data"] |= data
        return
    of_its_kind = {"type": "Opaque"} if kind == "Secret" else {}
    objects.append({"apiVersion": "v1", "kind": kind, "metadata": {"name": told["name"]}, "data": data, **of_its_kind})


def find(objects: list[Json], kind: str, name: str) -> Json:
    """Return the one object of a kind and a name."""
    (found,) = [one for one in objects if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return found


def _patch(target: Json, operations: list[Json], objects: list[Json]) -> None:
    """Do what a list of operations says, as JSON patches do (RFC 6902), to each object that is meant."""
    assert target.keys() <= {"kind", "name", "labelSelector"}
    label, _, value = target.get("labelSelector", "").partition("=")
    for one in objects:
        if one["kind"] != target["kind"] or one["metadata"]["name"] != target.get("name", one["metadata"]["name"]):
            continue
        if not label or one["metadata"].get("labels", {}).get(label) == value:
            for operation in operations:
                _operate(operation, one)


def _operate(operation: Json, one: Json) -> None:
    *path, last = operation["path"].removeprefix("/").split("/")
    place: Any = one
    for step in path:
        place = place[int(step) if isinstance(place, list) else step]
    assert operation["op"] in {"add", "replace"}
    assert operation["op"] == "add" or last in place
    place[last] = operation["value"]


def pods(one: Json) -> Iterator[Json]:
    """Yield the template of the pods that an object makes, if it does."""
    spec = one.get("spec", {})
    if "jobTemplate" in spec:
        spec = spec["jobTemplate"]["spec"]
    if "template" in spec:
        yield spec["template"]


def containers(one: Json) -> Iterator[Json]:
    """Yield the containers of those pods."""
    for pod in pods(one):
        yield from pod["spec"]["containers"]
