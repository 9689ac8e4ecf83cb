"""SubscribeUser: a user's rooms as they are, and then their changes."""
