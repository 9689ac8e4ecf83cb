"""What the documents of the API reference are served with: their style, where they are, and what they may load."""

import base64
import hashlib

from services.edge import public

STYLE = """\
:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:0 auto;padding:1rem}
nav{position:sticky;top:0;background:Canvas;padding:.5rem 0;border-bottom:1px solid GrayText}
nav a{margin-right:1rem}
section{border-top:1px solid GrayText;margin-top:3rem}
h2,h3{scroll-margin-top:3.5rem}
.wide{overflow-x:auto}
table{border-collapse:collapse}
th,td{border:1px solid GrayText;padding:.25rem .5rem;text-align:left;vertical-align:top}
pre{overflow-x:auto;padding:.75rem;border:1px solid GrayText}
code{font-family:ui-monospace,monospace;font-size:.9em}
"""
# Nothing is loaded and nothing runs: of all that a page may hold only this style counts.
_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


def path_of(name: str) -> str:
    """Return the path of one of public.DOCS."""
    return f"{public.DOCS_PATH}/{name}" if name else public.DOCS_PATH
