"""What the protos declare: policies, limits, forms, and the errors with their reasons."""
