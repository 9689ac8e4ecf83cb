"""Who may act, as rooms says and as it is kept here."""
