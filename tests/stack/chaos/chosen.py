"""Steps of one kind whose disturbance is the one that a test wants, found by trying seeds."""

import random
from collections.abc import Mapping
from itertools import count

from services.stack.chaos.kinds import KINDS
from services.stack.chaos.steps import Disturbance, Step

REPLICAS: Mapping[str, int] = {"users": 1, "rooms": 1, "messages": 2, "files": 1}


def chosen(kind: str, beginning: str = "") -> Disturbance:
    """Return the first of a kind whose name begins so."""
    tries = (KINDS[kind].choose(random.Random(seed), REPLICAS) for seed in count())
    return next(one for one in tries if one.name.startswith(beginning))


def step(kind: str, beginning: str = "") -> Step:
    """Return it as a step."""
    return Step(kind, (chosen(kind, beginning),))
