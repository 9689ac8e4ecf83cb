"""What a container of operations/kubernetes is told, and which files it sees, worked out as a node does it."""

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from tests.deploy.kubernetes.kustomize import Json, find, pods

_REFERENCE = re.compile(r"\$\((\w+)\)")


@dataclass(frozen=True)
class Workload:
    """A Deployment, a Job or a CronJob, among the objects that it is applied with."""

    made: Json
    objects: list[Json]

    @property
    def name(self) -> str:
        """Its name, which is that of the process."""
        return str(self.made["metadata"]["name"])

    @property
    def labels(self) -> dict[str, str]:
        """The labels of its pods."""
        found: dict[str, str] = self._template["metadata"]["labels"]
        return found

    @property
    def pod(self) -> Json:
        """How its pods are."""
        spec: Json = self._template["spec"]
        return spec

    @property
    def _template(self) -> Json:
        (template,) = pods(self.made)
        return template

    @property
    def container(self) -> Json:
        """Its one container."""
        (container,) = self.pod["containers"]
        found: Json = container
        return found

    @property
    def component(self) -> str:
        """What it is: a service, the edge, the bus, a job or the backup."""
        return self.labels["app.kubernetes.io/component"]

    @property
    def ports(self) -> dict[str, int]:
        """The ports that it says it listens at, by name."""
        return {port["name"]: port["containerPort"] for port in self.container.get("ports", [])}

    def environment(self) -> dict[str, str]:
        """Return what its process is told. References are to what stands before them, and to nothing else."""
        told: dict[str, str] = {}
        for source in self.container.get("envFrom", []):
            told |= find(self.objects, "ConfigMap", source["configMapRef"]["name"])["data"]
        usable: dict[str, str] = {}
        for variable in self.container.get("env", []):
            usable[variable["name"]] = self._value(variable, usable)
        return {**told, **usable}

    def _value(self, variable: Json, usable: dict[str, str]) -> str:
        if "value" in variable:
            return _REFERENCE.sub(lambda found: usable[found[1]], variable["value"])
        ((kind, wanted),) = variable["valueFrom"].items()
        if kind == "configMapKeyRef":
            return str(find(self.objects, "ConfigMap", wanted["name"])["data"][wanted["key"]])
        assert kind == "secretKeyRef"
        return _opened(find(self.objects, "Secret", wanted["name"]))[wanted["key"]]

    def files(self) -> dict[str, str]:
        """Return the files that it sees of ConfigMaps and Secrets that are there, with what they hold."""
        mounts = {mount["name"]: mount["mountPath"] for mount in self.container.get("volumeMounts", [])}
        found: dict[str, str] = {}
        for volume in self.pod.get("volumes", []):
            folder = PurePosixPath(mounts[volume["name"]])
            found |= {str(folder / name): text for source in _sources(volume) for name, text in self._held(source)}
        return found

    def _held(self, source: Json) -> Iterator[tuple[str, str]]:
        ((kind, told),) = source.items()
        if told.get("optional"):
            return
        if kind == "configMap":
            yield from find(self.objects, "ConfigMap", told["name"])["data"].items()
        elif kind == "secret":
            yield from _opened(find(self.objects, "Secret", told.get("secretName") or told["name"])).items()

    def optional_folders(self) -> set[str]:
        """Return the folders of what a deployment may have of its own: certificates."""
        mounts = {mount["name"]: mount["mountPath"] for mount in self.container.get("volumeMounts", [])}
        return {
            mounts[volume["name"]]
            for volume in self.pod.get("volumes", [])
            if any(told.get("optional") for source in _sources(volume) for told in source.values())
        }


def _sources(volume: Json) -> list[Json]:
    ((kind, told),) = ((kind, told) for kind, told in volume.items() if kind != "name")
    return list(told["sources"]) if kind == "projected" else [{kind: told}]


def _opened(secret: Json) -> dict[str, str]:
    return {name: base64.b64decode(value).decode() for name, value in secret["data"].items()}


def workloads(objects: list[Json]) -> list[Workload]:
    """Return whatever of the objects makes pods."""
    return [Workload(one, objects) for one in objects if any(pods(one))]
