"""Flush subnormal numbers to zero inside a kernel, and restore the caller's mode after it.

A decaying state passes through subnormals, on which processors are a hundred times slower.
"""

from __future__ import annotations

from elman.backends.native.llvm.ir import Builder, Value
from elman.backends.native.llvm.target import Target

X86_FLUSH = 0x8040  # flush to zero, denormals are zero: bits of the MXCSR register
AARCH64_FLUSH = 1 << 24  # FZ: a bit of the FPCR register


def flush_subnormals(b: Builder, target: Target) -> Value:
    """Enable flushing; returns the previous mode for ``restore_mode``."""
    if target.is_x86:
        b.declared.add("declare void @llvm.x86.sse.stmxcsr(ptr)")
        b.declared.add("declare void @llvm.x86.sse.ldmxcsr(ptr)")
        before, now = b.set("alloca i32, align 4"), b.set("alloca i32, align 4")
        b.emit(f"call void @llvm.x86.sse.stmxcsr(ptr {before})")
        mode = b.set(f"load i32, ptr {before}, align 4")
        flushing = b.set(f"or i32 {mode}, {X86_FLUSH}")
        b.emit(f"store i32 {flushing}, ptr {now}, align 4")
        b.emit(f"call void @llvm.x86.sse.ldmxcsr(ptr {now})")
        return before
    b.declared.add("declare i64 @llvm.aarch64.get.fpcr()")
    b.declared.add("declare void @llvm.aarch64.set.fpcr(i64)")
    mode = b.set("call i64 @llvm.aarch64.get.fpcr()")
    flushing = b.set(f"or i64 {mode}, {AARCH64_FLUSH}")
    b.emit(f"call void @llvm.aarch64.set.fpcr(i64 {flushing})")
    return mode


def restore_mode(b: Builder, target: Target, before: Value) -> None:
    """Restore the previous mode."""
    if target.is_x86:
        b.emit(f"call void @llvm.x86.sse.ldmxcsr(ptr {before})")
    else:
        b.emit(f"call void @llvm.aarch64.set.fpcr(i64 {before})")
