"""Faust and aiokafka, made to keep the promises that the domain relies on.

Every fault of Faust that is known to lose, repeat or reorder records is met here, and nowhere else.
"""
