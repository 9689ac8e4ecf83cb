"""A service as a process: its commands, what it is composed from, what it listens on, and how it lives and ends."""
