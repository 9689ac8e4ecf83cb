"""SubscribeUser and FollowUsers: a user's rooms as they are, or what was missed of them, and then their changes."""
