"""`chatkit replay`: plays a Chatkit export through the edge as live traffic, and checks what arrives."""
