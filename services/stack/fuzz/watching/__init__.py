"""What is looked at while inputs are sent: processes, logs, what they hold, and whether others are served."""
