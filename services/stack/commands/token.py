"""`chatkit token`: prints a token, and nothing else."""

import argparse
import re
from datetime import timedelta

from services.stack.home import Home
from services.stack.sign_in import token
from services.stack.trouble import Trouble

# A hundred years: an end that a clock can show.
_LONGEST = timedelta(days=36_500)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"([1-9][0-9]{0,8})([smhd])")


def run(home: Home, arguments: argparse.Namespace) -> int:
    """Print it."""
    if not arguments.user and not arguments.su:
        raise Trouble("say whose token it is with --user ID, or ask for a superuser's with --su")
    print(token(home, arguments.user or None, su=arguments.su, lifetime=parse_lifetime(arguments.ttl)))
    return 0


def parse_lifetime(text: str) -> timedelta:
    """Read `90s`, `15m`, `24h` or `7d`."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise Trouble(f"{text!r} is not a time such as 90s, 15m, 24h or 7d")
    lifetime = timedelta(seconds=int(match[1]) * _UNITS[match[2]])
    if lifetime > _LONGEST:
        raise Trouble(f"{text!r} is longer than {_LONGEST.days}d")
    return lifetime
