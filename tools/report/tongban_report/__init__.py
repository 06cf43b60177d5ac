"""Make one HTML page of charts from the fact tables: it loads nothing and prints well."""
