"""Router: decides what becomes of each request, from its submission to a final state."""
