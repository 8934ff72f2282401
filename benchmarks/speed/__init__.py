"""How fast PaliKit is, beside its peers and beside what the machine can do at most.

    python -m benchmarks.speed --case caption-224-1

Run from the root of the repository. Every contender is a process of its own and they take turns
(A B A B ...), on the same random weights at real dimensions, the same pictures, the same prompt ids
and as many tokens and threads. Each picture is new to the process it is measured in.
"""
