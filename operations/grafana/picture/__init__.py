"""A picture of a dashboard, of what Prometheus has seen of a suite under load. It is drawn here, and not by Grafana."""
