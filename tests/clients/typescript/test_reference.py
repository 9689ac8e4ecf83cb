"""Every example of the API reference in TypeScript compiles strictly, and makes its call as it is printed."""

import asyncio
import json
import textwrap
from pathlib import Path

from protos import node
from services.edge.reference import examples
from services.edge.reference.contract import methods
from tests.clients.typescript.tools import FOLDER, built, run
from tests.support.edge import Edge
from tests.support.reference_world import World, world

_COMPILED = ("--strict", "--noEmit", "--target", "es2023", "--module", "nodenext", "--types", "node")
_ANSWERS = """
/** What an example prints to: it ends with the first answer. */
class Seen extends Error {}
const console = {
  log(_: unknown): void {
    throw new Seen();
  },
};
"""
_CALLS = """
const address = process.argv[2] ?? "";
// The URLs of files in the tests' suite lead elsewhere.
const fetchAnywhere = fetch;
globalThis.fetch = (url, options) => fetchAnywhere(String(url).replace(/^http:\\/\\/[^/]+/, address), options);
for (const [name, token, call] of calls) {
  const client = connect(address, token);
  try {
    await call(client);
    throw new Error("nothing was printed");
  } catch (error) {
    globalThis.console.log(error instanceof Seen ? name : `${name}: ${error}`);
  } finally {
    client.close();
  }
}
"""


def _program(made: World, client: Path) -> str:
    """Return a program that makes the calls of all examples, and prints the names of the methods that have answered."""
    calls = "".join(
        f"  [{json.dumps(method.full_name)}, {json.dumps(made.token(method))}, async (client: Client) => {{\n"
        f"{textwrap.indent(made.here(examples.typescript(method)), '    ')}  }}],\n"
        for method in methods()
    )
    return (
        f'import {{ type Client }} from "{client}/index.js";\n'
        f'import {{ connect }} from "{client}/node.js";\n'
        f'import * as types from "{client}/types.js";\n'
        f"{_ANSWERS}\nconst calls: [string, string, (client: Client) => Promise<void>][] = [\n{calls}];\n{_CALLS}"
    )


async def test_the_client_makes_every_call_as_it_is_printed(edge: Edge, tmp_path: Path) -> None:
    build, packages = await built(), await asyncio.to_thread(node.packages)
    (tmp_path / "package.json").write_text(json.dumps({"type": "module"}))
    checked, program = tmp_path / "checked.ts", tmp_path / "program.ts"
    async with world(edge, 3) as made:
        checked.write_text(_program(made, FOLDER / "src"))
        await run(packages / ".bin" / "tsc", *_COMPILED, "--typeRoots", packages / "@types", checked, cwd=tmp_path)
        program.write_text(_program(made, build / "src"))
        said = await run(node.NODE, program, f"http://{edge.address}")
    assert said.splitlines() == [method.full_name for method in methods()]
