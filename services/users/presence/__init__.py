"""Who is online, as sessions on all replicas say."""
