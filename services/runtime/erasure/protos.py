"""Deletions as the contract shows them."""

from uuid import UUID

from chatkit.contract.v1 import deletion_pb2

from services.runtime.contract.timestamps import timestamp
from services.runtime.erasure.deletions import deletion_not_found
from services.runtime.erasure.model import Deletion, DeletionId, DeletionState


def deletion_proto(deletion: Deletion) -> deletion_pb2.Deletion:
    """Return a deletion as the contract shows it."""
    return deletion_pb2.Deletion(
        id=str(deletion.id),
        subject=deletion.subject_id,
        state=_state(deletion.state),
        services=[
            deletion_pb2.ServiceDeletion(
                service=part.service, state=_state(part.state), update_time=timestamp(part.update_time)
            )
            for part in deletion.services
        ],
        create_time=timestamp(deletion.create_time),
        update_time=timestamp(deletion.update_time),
        messages=(
            deletion_pb2.MESSAGE_ERASURE_KEEP_ANONYMOUS
            if deletion.keeps_messages
            else deletion_pb2.MESSAGE_ERASURE_ERASE
        ),
    )


def deletion_id_of(value: str) -> DeletionId:
    """Return the id that a request names. Raises DELETION_NOT_FOUND for what no deletion is called."""
    try:
        deletion_id = DeletionId(UUID(value))
    except ValueError:
        raise deletion_not_found(value) from None
    if str(deletion_id) != value:
        raise deletion_not_found(value)
    return deletion_id


def _state(state: DeletionState) -> deletion_pb2.DeletionState:
    if state is DeletionState.DONE:
        return deletion_pb2.DELETION_STATE_DONE
    return deletion_pb2.DELETION_STATE_RUNNING
