"""The files of a Chatkit export, read record by record."""
