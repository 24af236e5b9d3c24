"""Questions to people: asked by agents, kept on the mesh, gone on with once answered."""
