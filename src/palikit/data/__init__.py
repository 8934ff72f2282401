"""Data sets: readers of what people have, one form of rows that training takes, and writers."""
