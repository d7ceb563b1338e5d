"""Monitoring as code: dashboards, the operator's rule objects, the page of metrics. `make monitoring` writes them."""
