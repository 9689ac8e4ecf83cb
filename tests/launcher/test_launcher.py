"""The shell script itself: which Python it takes, and what it says when there is none."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_SHELL = "/bin/sh"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Make a folder with the launcher, and in the place of the setup a script that tells who runs it."""
    folder = tmp_path / "my clone"
    (folder / "services" / "stack").mkdir(parents=True)
    shutil.copy(ROOT / "chatkit", folder / "chatkit")
    (folder / "services" / "stack" / "setup_venv.py").write_text("")
    return folder


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Make a folder of commands that holds the few that a POSIX system has."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("dirname", "readlink", "uname", "sh"):
        found = shutil.which(name)
        assert found is not None
        (folder / name).symlink_to(found)
    return folder


def _fake_python(folder: Path, name: str, version: str) -> None:
    """Write a command that says it is a Python of that version, and prints its own name and arguments when run."""
    script = folder / name
    script.write_text(f'#!{_SHELL}\ncase "$*" in *version_info*) echo {version} ;; *) echo {name} "$@" ;; esac\n')
    script.chmod(0o755)


def _run(clone: Path, path: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [_SHELL, str(clone / "chatkit"), *arguments],
        env={"PATH": str(path), **environment},
        capture_output=True,
        text=True,
        check=False,
        cwd=path,
    )


def test_the_newest_python_on_the_path_is_taken(clone: Path, path: Path) -> None:
    _fake_python(path, "python3.11", "3.11.4")
    _fake_python(path, "python3.13", "3.13.0")
    ran = _run(clone, path, "up", "--port", "0")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("python3.13 -I ")
    assert ran.stdout.strip().endswith("setup_venv.py run services.stack up --port 0")


def test_test_runs_the_tests_and_passes_arguments_on(clone: Path, path: Path) -> None:
    _fake_python(path, "python3.11", "3.11.4")
    ran = _run(clone, path, "test", "-k", "a b")
    assert ran.stdout.strip().endswith("run tests -k a b")


def test_check_runs_the_static_steps_alone(clone: Path, path: Path) -> None:
    _fake_python(path, "python3.11", "3.11.4")
    assert _run(clone, path, "lint").stdout.strip().endswith("run tests.checks")


def test_mutate_judges_the_tests_of_a_module(clone: Path, path: Path) -> None:
    _fake_python(path, "python3.11", "3.11.4")
    assert _run(clone, path, "mutate", "a.py", "--json").stdout.strip().endswith("run tests.checks.mutate a.py --json")


def test_bench_runs_the_benchmarks_and_passes_arguments_on(clone: Path, path: Path) -> None:
    _fake_python(path, "python3.11", "3.11.4")
    ran = _run(clone, path, "bench", "W1", "--json")
    assert ran.stdout.strip().endswith("run benchmarks W1 --json")


def test_a_command_that_only_pretends_is_passed_over(clone: Path, path: Path) -> None:
    broken = path / "python3.14"
    broken.write_text(f"#!{_SHELL}\nexit 127\n")
    broken.chmod(0o755)
    _fake_python(path, "python3", "3.12.1")
    assert _run(clone, path, "up").stdout.startswith("python3 -I ")


def test_the_variable_decides(clone: Path, path: Path) -> None:
    _fake_python(path, "python3.14", "3.14.0")
    _fake_python(path, "mine", "3.11.0")
    assert _run(clone, path, "up", PYTHON="mine").stdout.startswith("mine -I ")
    _fake_python(path, "old", "3.9.2")
    refused = _run(clone, path, "up", PYTHON="old")
    assert refused.returncode == 1
    assert "$PYTHON must be Python 3.11 or newer" in refused.stderr
    assert "3.9.2" in refused.stderr


def test_without_a_python_it_says_what_it_found(clone: Path, path: Path) -> None:
    nothing = _run(clone, path, "up")
    assert nothing.returncode == 1
    assert "Python 3.11 or newer is needed" in nothing.stderr
    assert "none" in nothing.stderr
    _fake_python(path, "python3", "3.8.10")
    assert "python3 is Python 3.8.10" in _run(clone, path, "up").stderr


def test_windows_gets_one_sentence(clone: Path, path: Path) -> None:
    (path / "uname").unlink()
    uname = path / "uname"
    uname.write_text(f"#!{_SHELL}\necho MINGW64_NT-10.0\n")
    uname.chmod(0o755)
    ran = _run(clone, path, "up")
    assert ran.returncode == 1
    assert "Windows" in ran.stderr
    assert ran.stderr.count("\n") == 1


def test_it_is_found_through_a_symbolic_link(clone: Path, path: Path) -> None:
    _fake_python(path, "python3.11", "3.11.4")
    link = path / "linked"
    link.symlink_to(clone / "chatkit")
    ran = subprocess.run([_SHELL, str(link), "up"], env={"PATH": str(path)}, capture_output=True, text=True, check=True)
    assert str(clone / "services/stack/setup_venv.py") in ran.stdout
