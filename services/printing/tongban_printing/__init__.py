"""Printing: documents from results, and each print order on paper once."""
