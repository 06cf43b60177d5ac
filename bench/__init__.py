"""Measure ratios within one run. Absolute times mean nothing on a noisy machine."""

from tongban_kafka import prepare_aiokafka

# Every module here is a program, and some start others of the package as processes of their own.
prepare_aiokafka()
