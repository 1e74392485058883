"""What fills the terminal, one module a screen: each fetches, composes widgets, and says what it wants opened."""
