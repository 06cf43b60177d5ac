"""Draw the charts of the report as SVG, from plain rows and in one language at a time."""
