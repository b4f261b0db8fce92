"""Tables in, tables out: the nine steps over whole ranges of partitions."""
