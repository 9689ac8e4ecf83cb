"""What the contract has: some workloads are about RPCs that a release may not have yet."""

import importlib
import pkgutil

import chatkit.messages.v1
from google.protobuf.descriptor import ServiceDescriptor

from services.runtime.contract.policies import MethodContract, methods_of

_SUFFIX = "_service_pb2"


def find_method(service: str, name: str) -> MethodContract | None:
    """Return a method of one of messages' services, or None when the contract has no such method."""
    return next((method for method in _methods(service) if method.name == name), None)


def _methods(service: str) -> list[MethodContract]:
    package = chatkit.messages.v1
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        if module.name.endswith(_SUFFIX):
            services = importlib.import_module(module.name).DESCRIPTOR.services_by_name
            descriptor: ServiceDescriptor | None = services.get(service)
            if descriptor is not None:
                return methods_of(descriptor)
    return []
