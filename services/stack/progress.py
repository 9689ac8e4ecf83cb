"""What shows how far a command is, on standard error of a terminal."""

import sys

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)


def progress_bar() -> Progress:
    """Return a bar, which nobody sees where no terminal is."""
    return progress_of(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())


def progress_of(*columns: ProgressColumn) -> Progress:
    """Return what shows these columns, and how long it has taken so far; nobody sees it where no terminal is."""
    console = Console(file=sys.stderr)
    shown = (SpinnerColumn(), *columns, TimeElapsedColumn())
    return Progress(*shown, console=console, transient=True, disable=not console.is_terminal)
