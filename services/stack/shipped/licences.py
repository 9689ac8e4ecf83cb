"""Which licences may be shipped, and what the licence of an installed package is, as an SPDX expression."""

import re
from importlib.metadata import Distribution

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

# Licences that ask for no more than their text, and notices, beside what is shipped; MPL-2.0 also that a changed file
# of its own stays open, and none is changed.
ALLOWED = {
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSD-Attribution-HPND-disclaimer",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "OLDAP-2.8",
    "PSF-2.0",
    "PostgreSQL",
    "Unicode-3.0",
    "Unicode-DFS-2016",
    "Unlicense",
    "X11-distribute-modifications-variant",
    "Zlib",
}
_LIBRARY = "a library of its own file, unchanged, which whoever runs an image may replace"
# What has another licence, and why it may be shipped; a name that is only in `stack` is in no image.
EXCEPTIONS = {
    "psycopg": ("LGPL-3.0-only", _LIBRARY),
    "psycopg-binary": ("LGPL-3.0-only", _LIBRARY),
    "keyutils": ("LGPL-2.1-or-later", f"{_LIBRARY}; Kerberos uses it, which comes with libpq"),
    "libcrypt of glibc": ("LGPL-2.1-or-later", f"{_LIBRARY}; Cyrus SASL uses it, which comes with libpq"),
    "readline": ("GPL-3.0-or-later", "in no image: PostgreSQL's psql has it, which `./chatkit up` never runs"),
}
# Of packages whose metadata says it in other words.
_SPOKEN = {
    "3-Clause BSD License": "BSD-3-Clause",
    "OSI Approved :: Apache Software License": "Apache-2.0",
    "OSI Approved :: MIT License": "MIT",
}
_TOKENS = re.compile(r"\(|\)|(?:(?!AND\b|OR\b)[\w.+-]+)(?: WITH [\w.+-]+)?|AND\b|OR\b")


def licence(package: Distribution) -> str:
    """Return the licence that a package declares; empty where it says none that can be known."""
    metadata = package.metadata
    classifiers = [line.removeprefix("License :: ") for line in metadata.get_all("Classifier", []) if "License" in line]
    classified = " OR ".join(sorted(_SPOKEN[line] for line in classifiers if line in _SPOKEN))
    spoken = metadata["License"] or ""
    for text in (metadata["License-Expression"], _SPOKEN.get(spoken, spoken), classified):
        if text and (found := canonical(text)):
            return found
    return ""


def canonical(expression: str) -> str:
    """Return an expression as SPDX spells it, or empty where it is none."""
    try:
        return str(canonicalize_license_expression(expression))
    except InvalidLicenseExpression:
        return ""


def may_be_shipped(name: str, expression: str) -> bool:
    """Tell whether something with a licence may be shipped: of an OR one side is enough, of an AND both are needed."""
    excepted, _ = EXCEPTIONS.get(name, ("", ""))
    return bool(expression) and (expression == excepted or _is_allowed(_TOKENS.findall(expression)))


def _is_allowed(tokens: list[str]) -> bool:
    """Judge the alternatives from `tokens`, up to the end or to a closing parenthesis, which are taken away."""
    any_of, all_of = False, True
    while tokens and (token := tokens.pop(0)) != ")":
        if token == "OR":  # noqa: S105 - no secret
            any_of, all_of = any_of or all_of, True
        elif token == "(":  # noqa: S105 - no secret
            all_of = _is_allowed(tokens) and all_of
        elif token != "AND":  # noqa: S105 - no secret
            all_of = token in ALLOWED and all_of
    return any_of or all_of
