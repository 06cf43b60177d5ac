"""The store and the topic as far as print orders need them: orders, leases of kiosks, reports."""
