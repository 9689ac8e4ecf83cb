"""Dashboards of Grafana, which are written from the tables here."""
