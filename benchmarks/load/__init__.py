"""The load generator. It runs in processes of its own, and costs a fraction of what it measures."""
