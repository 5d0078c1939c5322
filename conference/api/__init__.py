"""HTTP: what every API family shares, and one package per family."""
