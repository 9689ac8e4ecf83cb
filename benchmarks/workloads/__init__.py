"""The workloads, one file each: what is done to the suite, and which figures come of it."""
