"""The endpoints, a module a subject. A route reads what was asked, calls one service, and says what came of it."""
