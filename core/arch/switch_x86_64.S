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

        .macro  saved_push reg
        pushq   %\reg
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %\reg, 0
        .endm

        .macro  saved_pop reg
        popq    %\reg
        .cfi_adjust_cfa_offset -8
        .cfi_restore %\reg
        .endm

        /* All but the way back. */
        .macro  swap
        endbr64
        saved_push rbp
        saved_push rbx
        saved_push r12
        saved_push r13
        saved_push r14
        saved_push r15
        movq    %rsp, (%rdi)
        /* Both stacks look the same here, so the CFI stays true across it. */
        movq    %rsi, %rsp
        saved_pop r15
        saved_pop r14
        saved_pop r13
        saved_pop r12
        saved_pop rbx
        saved_pop rbp
        .endm

/* void gust__ctx_swap(void **save_sp, void *to_sp) */
        .globl  gust__ctx_swap
        .type   gust__ctx_swap, @function
        .p2align 4
gust__ctx_swap:
        .cfi_startproc
        swap
        /* Not ret: it would be predicted to go where the caller came from, on
         * the stack we left, and so be mispredicted nearly always (a switch
         * took 19 ns with it, 12 ns without). */
        popq    %rcx
        .cfi_adjust_cfa_offset -8
        .cfi_register %rip, %rcx
        jmpq    *%rcx
        .cfi_endproc
        .size   gust__ctx_swap, . - gust__ctx_swap

/* void gust__ctx_swap_alike(void **save_sp, void *to_sp) */
        .globl  gust__ctx_swap_alike
        .type   gust__ctx_swap_alike, @function
        .p2align 4
gust__ctx_swap_alike:
        .cfi_startproc
        swap
        /* Where the caller came from is where it goes.  With a jump the CPU's
         * stack of return addresses would be one behind, and every return on the
         * way up mispredicted (a hand-over took 15 ns longer). */
        ret
        .cfi_endproc
        .size   gust__ctx_swap_alike, . - gust__ctx_swap_alike

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
