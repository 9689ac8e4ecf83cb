"""How services that run deletions show them: one, and pages of all."""

from datetime import datetime

from chatkit.contract.v1 import deletion_pb2
from google.protobuf.message import Message

from services.runtime.calls.call import Call
from services.runtime.calls.paging import PageTokens, page_size
from services.runtime.contract.policies import Limits
from services.runtime.erasure.deletions import Deletions
from services.runtime.erasure.protos import deletion_id_of, deletion_proto


class DeletionListing:
    """What GetDeletion and ListDeletions answer."""

    def __init__(self, jobs: Deletions, page_tokens: PageTokens, limits: Limits) -> None:
        self._jobs = jobs
        self._page_tokens = page_tokens
        self._limits = limits

    async def get(self, deletion_id: str) -> deletion_pb2.Deletion:
        """Return a deletion. Raises DELETION_NOT_FOUND."""
        return deletion_proto(await self._jobs.get(deletion_id_of(deletion_id)))

    async def page(self, request: Message, call: Call) -> tuple[list[deletion_pb2.Deletion], str]:
        """Return a page of deletions, the newest first, and the token of the next one; empty on the last."""
        key, size = self._page_tokens.read(call.caller, request), page_size(request, self._limits)
        after = (datetime.fromisoformat(str(key[0])), deletion_id_of(str(key[1]))) if key else None
        found = await self._jobs.page(after, size + 1)
        shown = [deletion_proto(one) for one in found[:size]]
        if len(found) <= size:
            return shown, ""
        last = found[size - 1]
        place = [last.create_time.isoformat(), str(last.id)]
        return shown, self._page_tokens.make(call.caller, request, place)
