"""Orders to controllers, which move the traffic themselves: their plans, how one is given once, watched and proven."""
