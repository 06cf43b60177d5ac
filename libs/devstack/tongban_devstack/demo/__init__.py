"""Run a day at the branch: load, faults and kills, and a report counted outside."""
