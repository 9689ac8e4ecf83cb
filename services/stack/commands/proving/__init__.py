"""Commands that prove something of a suite, or find what is wrong with it."""
