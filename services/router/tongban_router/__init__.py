"""Router: decides the life of each request, from its submission to a final state."""
