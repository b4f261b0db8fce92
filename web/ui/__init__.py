"""The dashboard (§7.3): pages over the API's own reading functions, in a process of their own."""
