"""Where content lies, how it gets there, and how it may be shown."""
