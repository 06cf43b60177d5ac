"""Who may knock: kiosks that are enrolled, the tokens that they get, lobby managers who sign in."""
