"""Who may act: what is decided here, and what services follow of it."""
