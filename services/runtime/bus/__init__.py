"""What replicas of a service tell one another, over NATS."""
