"""The words both programs use. Pydantic and the standard library only; no clock, no input or output."""
