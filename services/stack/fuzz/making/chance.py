"""Chance that a seed decides."""

import random

_ALL = 100


class Chance(random.Random):
    """Randomness that is asked in hundredths, too."""

    def of(self, percent: int) -> bool:
        """Say yes so many times of a hundred."""
        return self.randrange(_ALL) < percent
