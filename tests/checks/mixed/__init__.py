"""Whether services of this release and of another one work together: every process of either beside those of the other.

What runs are real processes, each with the code of its own release, on one PostgreSQL and one NATS. This release is
taken for the newer one: all but the first arrangement run on its schemas.
"""
