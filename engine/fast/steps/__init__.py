"""What a plan is made of: runs of nodes that are computed together, tile by tile.

A step owns its buffers and keeps from forward what its backward needs, so a plan serves one batch at a
time. The idea of all of them: an element-wise operation costs the time of moving its numbers, so it is
done while a tile is still in the cache, and what nobody reads again is never written.

Element-wise work runs on rows of W * C numbers, and per-channel vectors are repeated to such a row:
broadcasting over a short last axis is several times slower.
"""
