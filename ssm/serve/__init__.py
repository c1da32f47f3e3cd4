"""What stands between the network and Django: daphne, with bounds on all that strangers may send or hold open."""
