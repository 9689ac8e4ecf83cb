"""What several tests share: a clock to move, databases, tokens, the suite in one process, and how to read a refusal."""
