"""The catalogue as people write it: reads, checks, expands and publishes the files under
`catalogue/`."""
