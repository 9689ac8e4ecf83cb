"""The image's recipe names files, extras and commands that exist, and what it copies is enough."""

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from services.stack.roles import SERVICES
from tests.deploy.compose import ROOT, sample
from tests.deploy.dockerfile import DOCKERFILE, final, stages

_IGNORED = ROOT / ".dockerignore"


def _copied() -> list[str]:
    """List what the build stage copies from the repository."""
    copies = [instruction.text.split() for instruction in stages()[0] if instruction.name == "COPY"]
    return [source for words in copies for source in words[:-1]]


def test_it_is_built_from_one_minor_version_of_a_base_with_glibc() -> None:
    bases = [stage[0].text.split()[0] for stage in stages()]
    assert len(bases) == 2
    for base in bases:
        found = re.fullmatch(r"python:3\.([0-9]+)-slim", base)
        assert found is not None, base
        # The wheels of PostgreSQL and Envoy, and what pyproject asks for.
        assert 11 <= int(found[1]) <= 14


def test_what_it_copies_is_there_and_reaches_the_builder() -> None:
    lines = [line for line in _IGNORED.read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    assert sorted(line[1:] for line in lines if line.startswith("!")) == sorted(_copied())
    assert all((ROOT / source).exists() for source in _copied())


def test_it_makes_every_process_and_refuses_others() -> None:
    (script,) = [instruction.text for instruction in stages()[0] if "case" in instruction.text]
    case = script[script.index("case") : script.index("esac") + 4]
    found = {}
    for service in (*SERVICES, "edge", "stack", ""):
        shell = ["sh", "-c", f'{case}; printf %s "$requirements"']
        done = subprocess.run(shell, env={"SERVICE": service}, capture_output=True, text=True, check=False)
        found[service] = done.stdout if done.returncode == 0 else None
    assert found == {
        **dict.fromkeys(SERVICES, "service"),
        "files": "files",
        "edge": "edge",
        "stack": None,
        "": None,
    }
    assert all((ROOT / "requirements" / f"{name}.txt").is_file() for name in found.values() if name)


def test_the_folder_of_content_belongs_to_the_process() -> None:
    folder = sample()["services"]["files"]["environment"]["CHATKIT_BLOB_DIR"]
    made = final("RUN").text.partition("install ")[2]
    assert "--owner chatkit" in made
    assert folder in made.split()


def test_it_installs_what_is_pinned_by_its_hashes_and_compiles_nothing() -> None:
    scripts = [part.text for stage in stages() for part in stage if part.name == "RUN"]
    installs = [
        command for script in scripts for command in script.split("&&") if "pip" in command and "install" in command
    ]
    own = [command for command in installs if "--no-index dist/*.whl" in command]
    assert (len(installs), len(own)) == (3, 1)
    assert all("--no-deps" in command for command in installs)
    assert all("--require-hashes --requirement" in command for command in installs if command not in own)
    assert "apt-get" not in DOCKERFILE.read_text()


def test_the_last_stage_has_no_tools_and_runs_as_nobody_in_particular() -> None:
    names = [instruction.name for instruction in stages()[-1]]
    assert names.count("COPY") == 1
    assert final("COPY").text == "--from=build /opt/chatkit /opt/chatkit"
    assert "pip" not in " ".join(instruction.text for instruction in stages()[-1])
    user, _, group = final("USER").text.partition(":")
    assert int(user) >= 10_000
    assert int(group) >= 10_000
    assert f"--uid {user} " in final("RUN").text
    assert final("STOPSIGNAL").text == "SIGTERM"
    assert names.index("USER") > names.index("COPY")


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from what is copied and nothing else, as the image does, and unpack it."""
    folder = tmp_path_factory.mktemp("image")
    context, site = folder / "context", folder / "site"
    for source in _copied():
        target = context / source
        target.parent.mkdir(parents=True, exist_ok=True)
        ignore = shutil.ignore_patterns("__pycache__")
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, target, ignore=ignore)
        else:
            shutil.copy(ROOT / source, target)
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    done = subprocess.run(build, cwd=context, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = (context / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    return site


def test_the_wheel_has_everything_that_the_processes_load(unpacked: Path) -> None:
    for folder in ("services", "protos/gen/chatkit"):
        installed = folder.removeprefix("protos/gen/")
        expected = {path.relative_to(ROOT / folder) for path in (ROOT / folder).rglob("*.py")}
        assert {path.relative_to(unpacked / installed) for path in (unpacked / installed).rglob("*.py")} == expected
    console = Path("services/edge/console")
    served = {"index.html", "console.js", "console.css", "LICENSES.txt"}
    assert {path.name for path in (unpacked / console).iterdir()} >= served
    for service in SERVICES:
        assert list((unpacked / "services" / service / "migrations" / "versions").glob("*.py"))


def test_the_wheel_has_the_text_of_the_licence(unpacked: Path) -> None:
    (text,) = unpacked.glob("chatkit-*.dist-info/licenses/LICENSE")
    assert text.read_text() == (ROOT / "LICENSE").read_text()


@pytest.mark.parametrize("service", ["users", "edge"])
def test_the_entry_point_runs_the_service_that_the_image_was_made_for(unpacked: Path, service: str) -> None:
    done = _in_image(unpacked, [*final("ENTRYPOINT").command, "--help"], service)
    assert done.stdout.startswith(f"usage: services.{service} ")
    (default,) = final("CMD").command
    assert default in done.stdout
    assert done.returncode == 0


def test_the_health_check_asks_in_the_way_that_the_process_answers(unpacked: Path) -> None:
    for service, address in (("users", "no-port"), ("edge", "no-port")):
        done = _in_image(unpacked, final("HEALTHCHECK").command, service, CHATKIT_LISTEN=address)
        assert done.returncode == 1
        assert done.stderr == "not healthy: CHATKIT_LISTEN must name the port that is asked, not 'no-port'\n"
    script = final("HEALTHCHECK").command[-1]
    assert "edge) kind=http" in script
    assert "*) kind=grpc" in script


def _in_image(site: Path, command: list[str], service: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    environ = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "PYTHONPATH": str(site),
        "PYTHONSAFEPATH": "1",
        "SERVICE": service,
        **environment,
    }
    return subprocess.run(command, cwd="/", env=environ, capture_output=True, text=True, check=False)
