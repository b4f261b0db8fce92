"""Value types, time, ids and errors on which everything else stands."""
