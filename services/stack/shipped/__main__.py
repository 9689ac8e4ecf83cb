"""Writes docs/licences.md: `python -m services.stack.shipped`."""

from services.stack.shipped.page import PATH, page

if __name__ == "__main__":
    PATH.write_text(page(), encoding="utf-8")
