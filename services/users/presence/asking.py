"""Asks rooms about many streams and followers at once: a crowd that comes together costs few questions."""

from services.runtime.access.port import AccessGrant, AccessQuery
from services.runtime.access.rooms import RoomsAccess
from services.runtime.contract.errors import ChatkitError
from services.runtime.data.coalesced_reads import CoalescedReads

Answers = dict[AccessQuery, AccessGrant | ChatkitError]


class AskedTogether:
    """Answers from what is kept, and asks rooms for the rest of those who ask at once."""

    def __init__(self, access: RoomsAccess, *, most_users: int) -> None:
        self._access = access
        self._questions: CoalescedReads[AccessQuery, Answers] = CoalescedReads(access.check_users, most_keys=most_users)

    async def run(self) -> None:
        """Ask until cancelled."""
        await self._questions.run()

    async def check(self, query: AccessQuery) -> AccessGrant:
        """Return the grant, or raise PERMISSION_MISSING; SERVICE_UNAVAILABLE when rooms can't be reached."""
        kept = self._access.kept(query)
        if kept is not None:
            return kept
        answer = (await self._questions.ask([query]))[query]
        if isinstance(answer, ChatkitError):
            raise answer
        return answer.for_caller(query)
