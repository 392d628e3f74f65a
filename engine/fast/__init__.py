"""The fast floor: a network compiled for a batch shape into a plan of fused, tiled kernels.

A reader of the engine can skip this floor. `engine.graph.network` says what a network computes; everything
here computes the same, faster, and is tested against it. Each kernel is a file with its idea on top:

    layout/gemm          how a matrix product is cut so that BLAS takes its quickest path
    layout/places        where maps lie between the steps of a plan; `layout/arena`: in which memory
    kernels/winograd     3x3 convolutions with fewer multiplications, and nothing gathered
    kernels/columns      every other convolution: tiled im2col, and its special cases
    kernels/pooled       convolutions with the 2x2 pool behind them, and `pooled_gradient` their way back
    kernels/subpixel     the gradient of a 3x3 convolution of stride 2; `kernels/scattered`: of what is left
    kernels/kernel       what a kernel is; `kernels/choice`: which one each convolution takes
    steps                what a plan is made of: fused runs of nodes. `steps/claims`: which step computes which
    plan                 their memory, and the passes through them
    parallel             a batch in shares, by threads or processes
    serving              plans for predictions
"""
