"""What Prometheus scrapes, computes and alerts of."""
