"""The two libraries that are measured, behind one interface."""
