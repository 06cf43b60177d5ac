"""Write the published documents of the event topics from the registry of topics and the models."""
