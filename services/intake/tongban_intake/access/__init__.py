"""Authenticate kiosks by keys and tokens, lobby managers by PINs, applicants by proofs."""
