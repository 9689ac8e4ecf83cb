"""The users service: who exists. It owns the schema `users` and calls no other service."""
