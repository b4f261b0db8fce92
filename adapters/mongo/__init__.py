"""MongoDB: the live source of signals."""
