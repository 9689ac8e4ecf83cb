"""One stream per device: rooms from this process's hubs, the user and presence from feeds of other services."""
