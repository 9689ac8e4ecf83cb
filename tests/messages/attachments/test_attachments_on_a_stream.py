"""Files on a stream of sends: who has one waits for files, those behind it in the room wait for it, and no others."""

from tests.messages.attachments.attaching import add, forget_attaching, furnished, send, with_file
from tests.messages.chat import text
from tests.support.sending import sending, word
from tests.support.suite import Suite
from tests.support.tokens import user


async def test_messages_with_files_keep_the_order_of_their_room_and_are_refused_for_themselves(suite: Suite) -> None:
    await furnished(suite)
    file = await add(suite)
    async with sending(suite.messages, user("alice")) as sender:
        await sender.send(text("x", "0"))
        await sender.result(1)
        await sender.send(
            with_file(file.id, "1"), text("x", "2"), with_file("nope", "3"), text("x", "4"), text("x", "5", "attic")
        )
        assert await sender.told(6) == ["OK", "OK", "OK", "FILE_NOT_FOUND", "OK", "OK"]
        assert [message.seq for message in await sender.messages((2, 3, 5))] == [2, 3, 4]
        assert sender.results[2].message.parts[1].file.name == "cat.gif"
        await sender.finish()


async def test_what_is_sent_again_while_files_is_away_is_answered_as_it_is_stored(suite: Suite) -> None:
    await furnished(suite)
    file = await add(suite)
    stored = await send(suite, with_file(file.id, "1"))
    await forget_attaching(suite)
    await suite.stop("files")
    async with sending(suite.messages, user("alice")) as sender:
        await sender.send(with_file(file.id, "1"), with_file(file.id, "2"), text("x", "3"))
        assert await sender.messages([1]) == [stored]
        assert word(await sender.result(2)) == "SERVICE_UNAVAILABLE"
        assert word(await sender.result(3)) == "OK"
