"""The one reducer: events in, commands and decisions out."""
