"""The same research team three ways: a graph, a crew, and agents that talk over the mesh.

A researcher takes notes from a folder of documents, a writer makes a brief of them that cites
file and line, a reviewer says whether it holds. What they are told is in `words`, what they work
on in `documents`, what comes of it in `result`: the three ways differ in nothing else.
"""
