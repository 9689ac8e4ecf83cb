"""The runbooks, run: their commands are typed into a shell, and print what the pages say."""
