"""What the quickstarts in Kotlin, Swift and C# name, which are not run, is there: in the contract or in the library."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from google.protobuf.descriptor import FieldDescriptor

from tests.clients.quickstarts.programs import QUICKSTARTS
from tests.contract.descriptors import files

_PACKAGE = "chatkit.messages.v1"
_SERVICE = "MessagesService"
_COMMENTS_AND_TEXTS = re.compile(r'//.*|"[^"\n]*"')


@dataclass(frozen=True)
class Language:
    """How a language spells what the contract names, and every other word of its quickstart."""

    file: str
    message: Callable[[str], set[str]]
    field: Callable[[FieldDescriptor], set[str]]
    method: Callable[[str], set[str]]
    # Of the language, its libraries, and the program's own.
    others: str

    @property
    def of_the_contract(self) -> set[str]:
        """Every word with which the generated code can be used."""
        return set().union(*self._words())

    def _words(self) -> Iterator[set[str]]:
        for file in files():
            if file.package == _PACKAGE:
                for message in file.message_types_by_name.values():
                    yield self.message(message.name)
                    yield from map(self.field, message.fields)
        for method in _methods():
            yield self.method(method)


def _methods() -> list[str]:
    (service,) = (file.services_by_name[_SERVICE] for file in files() if _SERVICE in file.services_by_name)
    return [method.name for method in service.methods]


def _camel(name: str) -> str:
    return name[0].lower() + name[1:]


def _pascal(field: FieldDescriptor) -> str:
    return field.camelcase_name[0].upper() + field.camelcase_name[1:]


def _of_kotlin(field: FieldDescriptor) -> set[str]:
    return {field.camelcase_name, f"{field.camelcase_name}List", f"has{_pascal(field)}"}


def _of_swift(field: FieldDescriptor) -> set[str]:
    return {re.sub(r"Id(?=s?$)", "ID", field.camelcase_name)}


LANGUAGES = {
    "Kotlin": Language(
        "Lobby.kt",
        lambda name: {name, _camel(name)},
        _of_kotlin,
        lambda name: {_camel(name)},
        "import com chatkit messages v1 io grpc java util kotlinx coroutines fun main arguments Array String"
        " runBlocking val var channel ManagedChannelBuilder forTarget usePlaintext build headers Metadata put Key of"
        " ASCII_STRING_MARSHALLER MessagesServiceGrpcKt MessagesServiceCoroutineStub hello UUID randomUUID toString"
        " request getDefaultInstance while true try collect answer for event in if println copy catch ended"
        " StatusException status code Status Code UNAVAILABLE throw delay",
    ),
    "Swift": Language(
        "lobby.swift",
        lambda name: {f"Chatkit_Messages_V1_{name}"},
        _of_swift,
        lambda name: {_camel(name)},
        "import Foundation GRPCCore GRPCNIOTransportHTTP2 main struct Lobby static func async throws let host port"
        " token CommandLine arguments Int try await withGRPCClient transport http2NIOPosix target dns transportSecurity"
        " plaintext client in messages Chatkit_Messages_V1_MessagesService Client wrapping headers Metadata hello with"
        " UUID uuidString metadata var request while true asked response next epoch do for answer event if case print"
        " catch ended as RPCError where code unavailable return Task sleep seconds _",
    ),
    "C#": Language(
        "Lobby.cs",
        lambda name: {name},
        lambda field: {_pascal(field)},
        lambda name: {name, f"{name}Async"},
        "using Chatkit Messages V1 Grpc Core Net Client var messages new MessagesService MessagesServiceClient"
        " GrpcChannel ForAddress args headers Metadata text id Guid NewGuid ToString await request epoch while true try"
        " stream foreach answer in ResponseStream ReadAllAsync told if is not null Console WriteLine catch RpcException"
        " ended when StatusCode Unavailable Task Delay",
    ),
}


def _unknown(language: Language, program: str) -> set[str]:
    used = set(re.findall(r"\b[A-Za-z_]\w*", _COMMENTS_AND_TEXTS.sub("", program)))
    return used - language.of_the_contract - set(language.others.split())


def _program(language: Language) -> str:
    return (QUICKSTARTS / language.file).read_text()


every_language = pytest.mark.parametrize("language", LANGUAGES.values(), ids=LANGUAGES)


@every_language
def test_every_word_is_of_the_contract_or_of_the_library(language: Language) -> None:
    assert _unknown(language, _program(language)) == set()


@every_language
def test_what_the_contract_does_not_have_is_found(language: Language) -> None:
    for spelled in (r"(message)(Created)", r"(room)(I[dD])", r"(Subscribe|subscribe)(Room)"):
        wrong = re.sub(spelled, r"\1Not\2", _program(language), flags=re.IGNORECASE)
        assert _unknown(language, wrong), spelled
