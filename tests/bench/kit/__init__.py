"""The bench without its peers: the table of works, how they are run in turn, what is told of it."""
