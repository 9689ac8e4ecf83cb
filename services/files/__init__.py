"""The files service: what was attached to messages. It owns the schema `files`."""
