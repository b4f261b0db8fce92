"""Markets and brokers that exist only in memory."""
