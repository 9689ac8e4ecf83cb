"""What one client may do to others: each attack in a process of its own, which gives way to those that are measured."""
