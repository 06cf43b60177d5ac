"""Authentication: enrolled kiosks, their bearer tokens, lobby managers' sign-ins, applicants'
proofs."""
