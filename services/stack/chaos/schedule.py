"""What happens to a suite, and in what order: all of it follows from a seed."""

import random
from collections.abc import Iterator, Mapping, Sequence

from services.stack.chaos.steps import Kind, Step


def schedule(seed: int, kinds: Sequence[Kind], replicas: Mapping[str, int]) -> Iterator[Step]:
    """Yield steps for ever: one of each kind in any order, and then two at a time that do not touch the same."""
    chance = random.Random(seed)
    shuffled = chance.sample(kinds, len(kinds))
    for kind in shuffled:
        yield Step(kind.name, (kind.choose(chance, replicas),))
    while kinds:
        yield _pair(chance, kinds, replicas)


def _pair(chance: random.Random, kinds: Sequence[Kind], replicas: Mapping[str, int]) -> Step:
    """Return two disturbances at once; one, where the second has found nothing else to touch."""
    first, second = chance.choice(kinds), chance.choice(kinds)
    one, other = first.choose(chance, replicas), second.choose(chance, replicas)
    if one.touches & other.touches:
        return Step(first.name, (one,))
    return Step(f"{first.name}+{second.name}", (one, other))
