"""Which files are taken for those of attachments: what lies in the folders, and nothing that leads out of them."""

from pathlib import Path

import pytest

from services.stack.transfer.attachments import LocalFiles


@pytest.fixture
def files(tmp_path: Path) -> LocalFiles:
    """Have an export, a folder of attachments, and a secret beside them."""
    export, attachments = tmp_path / "export", tmp_path / "attachments"
    (export / "files").mkdir(parents=True)
    attachments.mkdir()
    (tmp_path / "secret").write_text("secret")
    (export / "files" / "a b.png").write_text("a")
    (attachments / "a b ü.png").write_text("b")
    (export / "link").symlink_to(tmp_path / "secret")
    (attachments / "link").symlink_to(tmp_path / "secret")
    (export / "inner").symlink_to(export / "files" / "a b.png")
    return LocalFiles(export, attachments)


@pytest.mark.parametrize(
    ("download_url", "found"),
    [
        ("files/a b.png", "export/files/a b.png"),
        ("./files/../files/a b.png", "export/files/a b.png"),
        ("inner", "export/files/a b.png"),
        ("https://example.com/x/a%20b%20%C3%BC.png?signature=1#x", "attachments/a b ü.png"),
        ("https://example.com/x/other.png", None),
        ("https://example.com/x/..%2Fsecret", None),
        ("https://example.com/x/%2e%2e", None),
        ("https://example.com/x/link", None),
        ("https://example.com/", None),
        ("https://[::1", None),
        ("https://example.com/%ff", None),
        ("https://example.com/a%00b", None),
        ("ftp://example.com/a b ü.png", None),
        ("file:///etc/passwd", None),
        ("/etc/passwd", None),
        ("../secret", None),
        ("link", None),
        ("files", None),
        ("", None),
        ("a\0b", None),
        ("x" * 5_000, None),
    ],
)
def test_a_file_is_found_in_its_folder_alone(
    files: LocalFiles, tmp_path: Path, download_url: str, found: str | None
) -> None:
    assert files.find(download_url) == (tmp_path / found if found is not None else None)
