"""Build the container images, check their sizes and write their bills of materials."""
