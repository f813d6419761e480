"""Bad input made on purpose: a small world, mutations of it by kind, and a judge of what the commands make of them."""
