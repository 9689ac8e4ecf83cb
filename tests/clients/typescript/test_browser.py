"""In a browser, files go up and down as they do from Node, and a page can tell how far they are."""

from pathlib import Path

import grpc

from tests.clients.quickstarts.browser import visiting
from tests.support.suite import Suite
from tests.support.tokens import token

_SIZE = 3_000_000
_PAGE = """async ([address, token, size]) => {
  const { connect } = await import(new URL("chatkit-client.js", location.href));
  const client = connect(address, token);
  const [sent, read] = [[], []];
  const content = new Blob(["x".repeat(size)], { type: "text/plain" });
  const file = await client.upload("lobby", content, { onProgress: (...far) => sent.push(far) });
  const found = await client.download("lobby", file.id, { onProgress: (...far) => read.push(far) });
  const isSame = (await found.text()) === (await content.text());
  const enough = new AbortController();
  const onProgress = (done) => done > 0 && enough.abort();
  const aborting = client.upload("lobby", content, { onProgress, signal: enough.signal });
  const aborted = await aborting.catch(({ code }) => code);
  return { sent, read, isSame, type: found.type, aborted };
}"""


async def test_a_page_is_told_how_far_a_file_is(suite: Suite, tmp_path: Path, short_path: Path) -> None:
    await suite.make_users("alice")
    await suite.make_room("lobby", "alice")
    async with visiting(suite, tmp_path / "site", short_path) as visit:
        await visit.page.goto(visit.origin)
        said = await visit.page.evaluate(_PAGE, [f"http://{visit.edge.address}", token("alice"), _SIZE])
    assert (said["isSame"], said["type"]) == (True, "text/plain")
    for told in (said["sent"], said["read"]):
        assert {total for _, total in told} == {_SIZE}
        assert told[0][0] == 0
        assert told[-1][0] == _SIZE
        assert told == sorted(told)
    assert said["aborted"] == grpc.StatusCode.CANCELLED.value[0]
