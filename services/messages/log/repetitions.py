"""What answers a write that was stored before, looked for without locks when its files can't be attached any more.

A file goes when no message has it any more, and the service of files may be away; neither changes what a request id
stands for. The rules are those of the append, which finds repetitions by itself: who gets that far pays nothing here.
"""

from collections.abc import Sequence

from services.messages.log import append, edits
from services.messages.log.edits import Changes
from services.messages.log.outcomes import Appended, Result
from services.messages.model import Draft, Edit, WriteKey
from services.runtime.contract.errors import ChatkitError
from services.runtime.data.database import Database


class Repetitions:
    """Writes that were stored before."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of_sends(self, drafts: Sequence[Draft]) -> dict[WriteKey, Result]:
        """Return, by their keys, what answers those sends whose request ids are taken."""
        async with self._database.reading() as connection:
            found = append.sent_before(await connection.exec_driver_sql(append.FIND_DUPLICATES, append.keys_of(drafts)))
        return {draft.key: append.repetition(draft, *found[draft.key]) for draft in drafts if draft.key in found}

    async def of_edit(self, edit: Edit) -> Result | None:
        """Return what answers an edit that changes nothing; None for one that would."""
        async with self._database.reading() as connection:
            found = Changes(await connection.exec_driver_sql(edits.FIND, edits.wanted([edit])))
        answer = found.without(edit)
        return answer if answer is None or isinstance(answer, ChatkitError) else Appended(answer, is_new=False)
