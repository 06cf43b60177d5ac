"""Measure ratios within one run. Absolute times mean nothing on a noisy machine."""
