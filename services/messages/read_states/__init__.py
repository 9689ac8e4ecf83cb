"""Read cursors and read states: how far users have read."""
