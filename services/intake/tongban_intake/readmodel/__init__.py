"""The read model: the state of each request, projected from the topics and rebuildable from
them."""
