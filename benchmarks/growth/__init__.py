"""How cost grows: one thing after the other is doubled again and again, and what an operation costs is measured."""
