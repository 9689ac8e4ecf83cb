"""Makes inputs by their numbers: of one seed, number K is always the same, as far as what the suite names itself is."""

import base64
from collections.abc import Callable
from dataclasses import replace

from chatkit.internal.access.v1 import access_service_pb2
from chatkit.internal.attachments.v1 import attachments_service_pb2, references_service_pb2
from chatkit.internal.descriptions.v1 import descriptions_service_pb2
from chatkit.internal.directory.v1 import directory_service_pb2
from chatkit.internal.edges.v1 import edges_service_pb2
from chatkit.internal.erasure.v1 import erasure_service_pb2
from chatkit.internal.feeds.v1 import presence_feed_service_pb2, user_feed_service_pb2
from chatkit.internal.retention.v1 import retention_service_pb2
from google.protobuf.message import Message

from services.edge.public import methods
from services.runtime.contract.policies import Limits, MethodContract, methods_of
from services.stack.fuzz.inputs import CONTENT, EDGE, Face, Input
from services.stack.fuzz.making import callers, contents, heads, json_texts, octets, pages
from services.stack.fuzz.making.chance import Chance
from services.stack.fuzz.making.known import Known
from services.stack.fuzz.making.messages import Messages

_FACES = {Face.GRPC: 25, Face.JSON: 25, Face.SERVICES: 20, Face.WEB: 15, Face.FILES: 10, Face.PAGES: 5}
_EXAMPLE, _MUTATED, _MADE, _OCTETS, _FRAMES, _HEADERS, _NO_HTTP = (
    *("example", "mutated", "made", "octets", "frames", "headers", "no http"),
)
_HOWS = {_EXAMPLE: 25, _MUTATED: 30, _MADE: 15, _OCTETS: 15, _FRAMES: 5, _HEADERS: 7, _NO_HTTP: 3}
# More than any request may have.
_MOST_BYTES = 1_500_000
_INTERNAL, _UNENDED, _HURRIED, _TEXT = 20, 3, 5, 20
_OF_SERVICES = (
    access_service_pb2,
    attachments_service_pb2,
    references_service_pb2,
    descriptions_service_pb2,
    directory_service_pb2,
    edges_service_pb2,
    erasure_service_pb2,
    presence_feed_service_pb2,
    user_feed_service_pb2,
    retention_service_pb2,
)


def _internal_methods() -> list[MethodContract]:
    services = (service for file in _OF_SERVICES for service in file.DESCRIPTOR.services_by_name.values())
    return [method for service in services for method in methods_of(service)]


class Maker:
    """Makes the inputs of a seed."""

    def __init__(self, seed: int, limits: Limits, known: Known) -> None:
        self._seed = seed
        self._limits = limits
        self._known = known
        self._public = list(methods())
        self._internal = _internal_methods()
        self._places = sorted({place for place, _ in self._public})

    def input(self, number: int) -> Input:
        """Make an input."""
        chance = Chance(f"{self._seed}:{number}")
        face = chance.choices(list(_FACES), list(_FACES.values()))[0]
        match face:
            case Face.FILES:
                return self._content(chance, number)
            case Face.PAGES:
                return self._page(chance, number)
        return self._call(chance, number, face)

    def _call(self, chance: Chance, number: int, face: Face) -> Input:
        place, method = chance.choice(self._public)
        if face is not Face.SERVICES:
            place = EDGE
        elif chance.of(_INTERNAL):
            place, method = chance.choice(self._places), chance.choice(self._internal)
        how = chance.choices(list(_HOWS), list(_HOWS.values()))[0]
        body = self._body(chance, face, method, how)
        made = Input(
            seed=self._seed,
            number=number,
            face=face,
            place=place,
            what=method.path,
            how=how,
            caller=callers.choose(chance, method),
            head=heads.of_call(face, method.path, len(body)),
            body=body,
            is_stream=method.streams,
        )
        return _spoiled(chance, _as_text(chance, made))

    def _body(self, chance: Chance, face: Face, method: MethodContract, how: str) -> bytes:
        messages = Messages(chance, self._limits, self._known)
        make: Callable[[MethodContract], Message] = {_MUTATED: messages.mutated, _MADE: messages.made}.get(
            how, messages.example
        )
        if face is Face.JSON:
            return _in_json(chance, make(method), how, is_list=method.streams_requests)
        count = chance.randint(0, 4) if method.streams_requests else 1
        sent = [make(method).SerializeToString(deterministic=True)[:_MOST_BYTES] for _ in range(count)]
        if how == _OCTETS:
            sent = [octets.spoiled(chance, one) for one in sent]
        frame: Callable[[bytes], bytes] = octets.framed
        if how == _FRAMES:
            return b"".join(octets.misframed(chance, one) for one in sent)
        return b"".join(map(frame, sent))

    def _content(self, chance: Chance, number: int) -> Input:
        made = contents.exchange(chance, self._known.urls)
        path = dict(made.head)[b":path"].decode("latin-1").partition("?")[0]
        return Input(
            seed=self._seed,
            number=number,
            face=Face.FILES,
            place=chance.choice((EDGE, EDGE, CONTENT)),
            what=f"{made.head[0][1].decode()} {path[:40]}",
            how=made.how,
            caller="nobody",
            head=made.head,
            body=made.body,
            is_ended=made.is_ended,
            is_http=made.is_http,
        )

    def _page(self, chance: Chance, number: int) -> Input:
        plain = Input(self._seed, number, Face.PAGES, EDGE, "", "example", callers.choose(chance, None), (), b"")
        match chance.randrange(4):
            case 0:
                return replace(plain, what="lines", how=_NO_HTTP, body=pages.lines(chance), is_http=False)
            case 1:
                place = chance.choice((EDGE, EDGE, *self._places))
                body = pages.frames(chance)
                return replace(plain, place=place, what="frames", how=_NO_HTTP, body=body, is_http=False)
        path, head = pages.page(chance)
        is_http = path.isascii() and dict(head).get(b"origin", b"").isascii()
        return replace(plain, what=f"{head[0][1].decode()} {path[:40]}", head=head, is_http=is_http)


def _in_json(chance: Chance, message: Message, how: str, *, is_list: bool) -> bytes:
    spoil = json_texts.spoiled if how in {_OCTETS, _FRAMES} else json_texts.text_of
    text = spoil(chance, message)
    return b"[" + text + b"]" if is_list and chance.of(80) else text


def _as_text(chance: Chance, made: Input) -> Input:
    """Let some calls over gRPC-Web be in base64, as browsers without a better way send them."""
    if made.face is not Face.WEB or not chance.of(_TEXT):
        return made
    body = base64.b64encode(made.body)
    if made.how == _FRAMES:
        body = body[: chance.randrange(len(body) + 1)] + chance.choice((b"", b"=", b"!", b"===="))
    head = heads.of_call(Face.WEB, made.what, len(body))
    head = tuple((name, b"application/grpc-web-text" if name == b"content-type" else value) for name, value in head)
    return replace(made, body=body, head=head)


def _spoiled(chance: Chance, made: Input) -> Input:
    if made.how == _HEADERS:
        return replace(made, head=heads.odd(chance, made.head))
    if made.how == _NO_HTTP:
        return replace(made, head=heads.wrong(chance, made.head, made.face), is_http=False)
    if chance.of(_UNENDED):
        return replace(made, is_ended=False, body=made.body[:-1])
    if chance.of(_HURRIED):
        return replace(made, head=heads.hurried(chance, made.head), is_hurried=True)
    return made
