"""Who is told what becomes of an action."""
