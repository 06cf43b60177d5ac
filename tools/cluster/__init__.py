"""Build the pieces of a Kubernetes cluster from source, and run them on this machine for tests."""
