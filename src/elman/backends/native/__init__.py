"""The native engine: kernels that are compiled from a cell's equations; a tour of the code.

It is best read beside a page that it made, such as that of ``elman cells gru --plan``, from the
equations down:

What is computed, in symbols
    ``phases.py``    a step cut into sums of products and the equations that use them
    ``programs.py``  the phases of forward, backward and the rest, and where each value lies
    ``names.py``     what the values are called, ``page.py`` the page with all of this

In numbers, for one layer on one processor
    ``llvm/target.py``     vectors and registers of the processor
    ``llvm/layout.py``     strides, register tiles, the order of packed weights

As code
    ``llvm/ir.py``         the text of LLVM's language, ``llvm/math.py`` tanh and its kin in it
    ``llvm/product.py``    a tile of sums of products, ``llvm/pointwise.py`` the equations after it
    ``llvm/step.py``       tiles, phases and the loop over time: a program as one function
    ``llvm/outer.py``      the parameters' gradients, ``llvm/pack.py`` the packing of weights
    ``llvm/jit.py``        from text to functions in memory, by way of ``llvm/cache.py`` and
                           ``llvm/trust.py``

At work
    ``schedule.py``        which sequences run at which step, so that padding costs nothing
    ``memory.py``          large blocks used again, ``llvm/team.py`` torch's own threads
    ``kernels.py``         a layer's programs compiled, and called with tables of addresses
    ``engine.py``          tensors in and out; ``stepping.py`` the same for one step at a time
    ``weights.py``         packed weights used again, by ``llvm/fingerprint.py``

With ``ELMAN_DUMP=DIR`` in the environment, every kernel that is used leaves its values, one a
line, the page of its cell and its LLVM text with the equations as comments in that folder.
"""
