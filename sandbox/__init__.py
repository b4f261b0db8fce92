"""Local Dhan sandbox: a process that speaks Dhan's wire formats over a simulated exchange."""
