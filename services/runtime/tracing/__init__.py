"""Where the time of a call goes, and which calls belong together."""
