"""The constants that decide how fast the native engine is.

None of them changes a result.  Each says where it comes from:

prototype   measured on the engine's prototype: two cores of a Zen 4 server (EPYC, AVX-512),
            float32; for 16 registers with code for AVX2 on the same processor
engine      chosen while measuring the engine on two cores of a Zen 5 server (EPYC, AVX-512),
            float32; the figures of single values were not recorded
estimate    counted from instructions or bytes, never measured by itself

The date is that of the commit that set the value.  To check a change, run
``python benchmarks/engine.py`` before and after it, with one thread and with all.
"""

from __future__ import annotations

# Register blocks of the products (``llvm/layout.py``).  A product keeps rows × blocks of units ×
# accumulators vectors in registers.  Spilling costs 30 %: 7 rows × 4 gates of an LSTM with 32
# registers.  With 16 registers, 3 rows × 4 gates reach 97 GF/s and 4 rows spill.
# prototype, 2026-11-25

#: accumulators of a phase that one product computes
MAX_ACCUMULATORS = 6
#: accumulators × blocks of units where there are many rows
MANY_ROWS_VECTORS = 4
#: accumulators × blocks of units for one row, by the number of registers.  Each needs its own
#: vector of weights: x86 multiplies by one in memory, ARM must load it and counts as 16 registers
ONE_ROW_VECTORS = {32: 16, 16: 12, 12: 8}
#: accumulators × blocks of units for a few rows, with 32 registers
FEW_ROWS_VECTORS = 8
#: registers for products on their way to a sum, without an instruction that does both
UNFUSED_REGISTERS = 4
#: registers for the sums and operands of a few rows, out of 32
FEW_ROWS_REGISTERS = 30
#: registers for the sums and weights of many rows, out of 32
MANY_ROWS_REGISTERS = 28
#: rows that a product computes at once, with 32 registers and with 16
MAX_ROWS = {32: 8, 16: 4}
#: unrolling factors of the loop over k (``llvm/product.py``), the best first, and the
#: multiply-adds of an unrolled round.  Unrolling is worth less than 2 %.  prototype, 2026-11-25
UNROLLING = (4, 2, 1)
MAX_UNROLLED = 32

# Tiles of the outer products for the parameters' gradients (``llvm/outer.py``): 94 to 101 GF/s,
# against 73 to 91 for the library's transposed products.  prototype, 2026-11-25

#: units of a gradient in a tile, with 32 registers and with 16
OUTER_UNITS = {32: 6, 16: 3}
#: vectors of an operand in a panel
PANEL_VECTORS = 4
#: rows that are packed into panels at a time
PANEL_ROWS = 192

#: rows of a buffer must not be a multiple of this many bytes apart: they would share a few sets
#: of the cache (``llvm/layout.py``).  estimate, 2026-11-25
CONFLICT_BYTES = 512

#: vectors that a fingerprint mixes at once, to hide the latency of a multiplication, with vectors
#: of 64 bytes and with smaller ones (``llvm/fingerprint.py``).  engine, 2026-11-29
FINGERPRINT_VECTORS = {64: 8, 32: 4}

# Hoisting of the products with the input (``hoisting.py``).  With few rows, a step reads all
# weights for little work; the slower the memory that holds the weights, the more rows make
# hoisting worthwhile.  engine, 2026-11-25; ``elman benchmark --tune`` measures it

#: steps below which nothing is hoisted
MIN_HOISTED_STEPS = 4
#: largest batch that hoists, by the bytes of the packed weights that are exceeded
HOISTED_BATCH = ((1 << 20, 4), (1 << 19, 2), (0, 1))
#: the same for processors on which it was measured, by LLVM's name: two cores of a Zen 4 server
#: (EPYC), 2026-12-01
HOISTED_BATCH_OF = {"znver4": ((1 << 20, 2), (0, 1))}

# Work, counted in multiplications and additions (``kernels.py``).

#: work below which one thread is faster than two.  engine, 2026-11-25
MIN_PARALLEL_WORK = 1e6
#: the same for threads of our own, which sleep while they wait (``llvm/workers.py``)
MIN_WORKERS_WORK = 2e7
#: work of a call, about 0.1 s, after which Python can handle Ctrl-C.  engine, 2026-11-25
MAX_CALL_WORK = 4e9
#: work that the equations of one unit are worth.  estimate, 2026-11-25
EQUATION_WORK = 100
#: work that writing one number to untouched memory is worth.  estimate, 2026-11-25
STORE_WORK = 40
#: work that packing one weight is worth.  estimate, 2026-11-25
PACKING_WORK = 20

# Schedules (``schedule.py``).

#: bytes of gradients that backward computes and uses before the next chunk of steps.  Untouched
#: pages took a fifth of a training step.  engine, 2026-11-25
CHUNK_BYTES = 1 << 24
#: rows whose work takes as long as reading the weights at a step, to split ragged batches evenly
#: among threads.  engine, 2026-11-25
STEP_ROWS = 3

# Memory (``memory.py``, ``weights.py``, ``stepping.py``).

#: bytes below which a tensor comes from torch's allocator.  engine, 2026-11-25
MIN_POOLED_BYTES = 1 << 16
#: bytes of free blocks that stay mapped.  estimate, 2026-11-25
MAX_IDLE_BYTES = 1 << 29
#: bytes of packed weights, and layers, in the cache that calls of the operator share.
#: estimate, 2026-11-29
MAX_SHARED_BYTES = 1 << 28
MAX_SHARED_LAYERS = 8
#: steps whose results come from one allocation, and its size limit in bytes.  engine, 2026-11-25
STEPS_PER_BLOCK = 64
MAX_BLOCK_BYTES = 1 << 17
