/* The context switch for x86-64 (System V ABI).
 *
 * Saved are the registers a function must preserve: rbx, rbp, r12 to r15.  What
 * lies at the saved stack pointer is a struct gust__ctx_frame (core/ctx.h); the
 * order puts rbp below the return address, so that &frame->fp is an ordinary
 * frame record and a parked stack is walked like a running one.
 *
 * No .note.gnu.property: a switch of stacks breaks a hardware shadow stack, and
 * without the note the linker does not claim that the program works under one. */

        .text

/* void gust__ctx_swap(void **save_sp, void *to_sp) */
        .globl  gust__ctx_swap
        .type   gust__ctx_swap, @function
        .p2align 4
gust__ctx_swap:
        .cfi_startproc
        endbr64
        pushq   %rbp
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rbp, 0
        pushq   %rbx
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rbx, 0
        pushq   %r12
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r12, 0
        pushq   %r13
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r13, 0
        pushq   %r14
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r14, 0
        pushq   %r15
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r15, 0
        movq    %rsp, (%rdi)
        /* Both stacks look the same here, so the CFI stays true across it. */
        movq    %rsi, %rsp
        popq    %r15
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r15
        popq    %r14
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r14
        popq    %r13
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r13
        popq    %r12
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r12
        popq    %rbx
        .cfi_adjust_cfa_offset -8
        .cfi_restore %rbx
        popq    %rbp
        .cfi_adjust_cfa_offset -8
        .cfi_restore %rbp
        /* Not ret: it would be predicted to go where the caller came from, on
         * the stack we left, and so be mispredicted nearly always (a switch
         * took 19 ns with it, 12 ns without). */
        popq    %rcx
        .cfi_adjust_cfa_offset -8
        .cfi_register %rip, %rcx
        jmpq    *%rcx
        .cfi_endproc
        .size   gust__ctx_swap, . - gust__ctx_swap

/* Where a fresh context begins: entry in r12, its argument in r13 (set by
 * gust__ctx_init).  The return address is undefined: unwinding ends here.  The
 * nop gives an unwinder, which looks up the return address minus one, something
 * to find that belongs to this function. */
        .globl  gust__ctx_start
        .hidden gust__ctx_start
        .type   gust__ctx_start, @function
        .p2align 4
        .cfi_startproc
        .cfi_undefined %rip
        nop
gust__ctx_start:
        movq    %r13, %rdi
        callq   *%r12
        ud2
        .cfi_endproc
        .size   gust__ctx_start, . - gust__ctx_start

        .section .note.GNU-stack, "", @progbits
