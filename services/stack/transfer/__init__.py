"""`chatkit import` and `chatkit export`: a whole instance in the shape of a Chatkit export, in and out.

Each service takes and gives its own records (`python -m services.<name> import`). Here is what they have in common: the
files, the order, the attachments, and what is told.
"""
