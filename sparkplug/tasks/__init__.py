"""Task queues: accepted work, kept until an agent has done it, and the dead letters.

One node of the mesh, the holder of a lease, keeps the queues and writes every change of a task
under its fence before anybody acts on it. Agents are handed tasks and answer; they touch no
stream. It imports bus and schema, and knows nothing of processes.
"""
