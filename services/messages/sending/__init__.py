"""SendMessages: sends on a stream."""
