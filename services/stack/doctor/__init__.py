"""What is wrong with a suite, in sentences.

Each check is told what to look at, an address, a connection, a file, and what is too much; it returns what it found.
"""
