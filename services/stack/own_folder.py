"""The folder that an export goes into, which holds nothing else; into a new one only its owner may look."""

from pathlib import Path

from services.stack.trouble import Trouble

PRIVATE = 0o700


def make_own_folder(folder: Path, *inner: str) -> None:
    """Make a folder, or take an empty one, with folders in it; raises Trouble for one that has something in it."""
    try:
        folder.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise Trouble(f"{folder} is not empty: an export goes into a folder of its own")
        for name in inner:
            (folder / name).mkdir(mode=PRIVATE)
    except OSError as error:
        raise Trouble(f"{folder} can't be written: {error.strerror}") from None
