"""The rooms service: which rooms there are, and who belongs to them. It owns the schema `rooms`."""
