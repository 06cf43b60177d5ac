"""Generate deploy/observability: Grafana's dashboards and Prometheus' rules, from one description.

`python -m tools.observability` (`make dashboards`) writes them; a test compares them with the
committed files.
"""
