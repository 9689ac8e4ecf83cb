"""How long is waited for what may never come, and how much of it is kept."""

# A stream that has begun is left after this long.
LEFT_SECONDS = 0.05
# So long is looked whether somebody answers what was not ended.
OPEN_SECONDS = 0.1
# Enough for every error; of content no more is looked at.
MOST_KEPT_BYTES = 1_000_000
