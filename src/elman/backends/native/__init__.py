"""The native engine: kernels compiled from a cell's equations.  A tour of the code.

Read it together with a page such as that of ``elman cells gru --plan``, in this order:

Symbolic: what to compute
    ``phases.py``    splits a step into sums of products and the equations that use them
    ``programs.py``  the phases of forward, backward etc., and the location of each value
    ``names.py``     the names of values; ``page.py`` prints all of this

Numeric: for one layer on one processor
    ``llvm/target.py``     vectors and registers of the processor
    ``llvm/layout.py``     strides, register tiles, the order of packed weights

Code generation
    ``llvm/ir.py``         writes LLVM's IR; ``llvm/math.py`` tanh and other functions
    ``llvm/product.py``    a tile of sums of products; ``llvm/pointwise.py`` the equations after it;
                           ``llvm/int8.py`` the sums with int8 weights
    ``llvm/step.py``       tiles, phases and the loop over time: a program as one function
    ``llvm/outer.py``      the parameters' gradients; ``llvm/pack.py`` packs weights
    ``llvm/jit.py``        compiles IR, with a cache of object code (``llvm/cache.py``,
                           ``llvm/trust.py``)

Execution
    ``schedule.py``        the sequences that run at each step, so that padding costs nothing
    ``memory.py``          a pool of large blocks
    ``llvm/team.py``       torch's threads; ``llvm/workers.py`` our own
    ``kernels.py``         compiles a layer's programs and calls them with tables of addresses
    ``engine.py``          runs tensors; ``stepping.py`` runs single steps, ``training_steps.py``
                           those with gradients, ``frozen_steps.py`` those in real time;
                           ``layer_calls.py`` has the kernels of a layer's step, with
                           ``row_values.py`` for what needs no state;
                           ``matrix_stepping.py`` and ``matrix_frozen_steps.py`` do the same for
                           cells with a matrix state
    ``weights.py``         caches packed weights, checked by ``llvm/fingerprint.py``
    ``tuning.py``          the constants that decide speed; ``tuned.py`` those measured here

With ``ELMAN_DUMP=DIR`` in the environment, each kernel writes its values, one per line, the page
of its cell, and its IR with the equations as comments to that folder.
"""
