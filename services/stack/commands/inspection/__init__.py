"""Commands that look at a suite from outside, and change nothing."""
