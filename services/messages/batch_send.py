"""BatchSendMessages: many messages in one call of a superuser's, each with a result of its own."""

from collections.abc import Sequence

from chatkit.contract.v1 import method_policy_pb2
from chatkit.messages.v1 import messages_service_pb2 as pb2

from services.messages.attachments.service import clear_output
from services.messages.drafts import Unattached
from services.messages.log.outcomes import Appended
from services.messages.model import Draft
from services.messages.preparing import Preparation, Wanted
from services.messages.service import Messages
from services.runtime.access.port import AccessQuery
from services.runtime.contract.errors import ChatkitError, invalid_field
from services.runtime.contract.policies import Limits
from services.runtime.contract.validation import Validator
from services.runtime.deadline import Deadline
from services.runtime.ids import RoomId, UserId
from services.runtime.steps import Pace

# What it counts in a step to check a message, and how many bytes of custom data are read for one.
_CHECKING, _BYTES_READ = 2, 16


class BatchSend:
    """Sends of many messages."""

    def __init__(self, messages: Messages, preparation: Preparation, limits: Limits) -> None:
        self._messages = messages
        self._preparation = preparation
        self._validator = Validator(limits)

    async def send(
        self, requests: Sequence[pb2.SendMessageRequest], subject: UserId | None, deadline: Deadline
    ) -> list[bytes | ChatkitError]:
        """Append the messages that can be appended; return each as it is stored, or why it is not."""
        checked = await self._check(requests, subject, deadline)
        prepared = iter(await self._preparation.prepare([one for one in checked if isinstance(one, Wanted)]))
        ready = [next(prepared) if isinstance(one, Wanted) else one for one in checked]
        sent = iter(await self._messages.send_each([one for one in ready if isinstance(one, Draft)], deadline))
        # When the others are stored, which one without its files may repeat.
        settled = iter(await self._messages.settle([one for one in ready if isinstance(one, Unattached)]))
        outcomes = [
            next(sent) if isinstance(one, Draft) else next(settled) if isinstance(one, Unattached) else one
            for one in ready
        ]
        return [outcome.message if isinstance(outcome, Appended) else outcome for outcome in outcomes]

    async def _check(
        self, requests: Sequence[pb2.SendMessageRequest], subject: UserId | None, deadline: Deadline
    ) -> list[Wanted | ChatkitError]:
        """Check each message, in steps: reading its custom data may take milliseconds."""
        checked: list[Wanted | ChatkitError] = []
        pace = Pace()
        for request in requests:
            checked.append(self._wanted(request, subject, deadline))
            await pace.did(_CHECKING + request.custom_data.ByteSize() // _BYTES_READ)
        return checked

    def _wanted(
        self, request: pb2.SendMessageRequest, subject: UserId | None, deadline: Deadline
    ) -> Wanted | ChatkitError:
        clear_output(request.parts)
        try:
            self._validator.check(request)
        except ChatkitError as error:
            return error
        sender = UserId(request.sender_id) if request.sender_id else subject
        if sender is None:
            return _nobody_sends()
        return Wanted(request, sender, _query(RoomId(request.room_id), sender), deadline)


def _nobody_sends() -> ChatkitError:
    return invalid_field("SUBJECT_REQUIRED", "sender_id", "neither the message nor the token says who sends it")


def _query(room_id: RoomId, sender: UserId) -> AccessQuery:
    # The permission of none is asked for: a superuser sends, on the sender's behalf.
    return AccessQuery(room_id, sender, superuser=True, membership=method_policy_pb2.MEMBERSHIP_REQUIRED, permission="")
