"""What the server bears: load, endurance, faults, attacks; each a script of this folder."""
