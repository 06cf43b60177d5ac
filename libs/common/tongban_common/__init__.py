"""Code that at least two distributions share: events, topics, domain types, store, observability.

tests/unit/common/test_users.py fails when a module serves one distribution only.
"""
