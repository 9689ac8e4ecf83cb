"""Deleting for good: what removes what a service has of a subject, and the durable job that sees it through."""
