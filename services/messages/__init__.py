"""The messages service: one ordered log per room. It owns the schema `messages` and asks rooms who may act."""
