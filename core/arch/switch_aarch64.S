/* The context switch for aarch64 (AAPCS64).
 *
 * Saved are the registers a function must preserve: x19 to x30 and d8 to d15.
 * What lies at the saved stack pointer is a struct gust__ctx_frame (core/ctx.h);
 * x29 and x30 come first, so that &frame->fp is an ordinary frame record and a
 * parked stack is walked like a running one.
 *
 * Under pointer authentication a C function signs its own x30 against its own
 * stack pointer, both of which come back unchanged; ours is saved as it is. */

        .text

/* void gust__ctx_swap(void **save_sp, void *to_sp), and gust__ctx_swap_alike */
        .globl  gust__ctx_swap
        .type   gust__ctx_swap, %function
        .globl  gust__ctx_swap_alike
        .type   gust__ctx_swap_alike, %function
        .p2align 4
gust__ctx_swap:
gust__ctx_swap_alike:
        .cfi_startproc
        hint    #34                     /* bti c, a nop on older machines */
        stp     x29, x30, [sp, #-160]!
        .cfi_adjust_cfa_offset 160
        .cfi_rel_offset x29, 0
        .cfi_rel_offset x30, 8
        stp     x19, x20, [sp, #16]
        .cfi_rel_offset x19, 16
        .cfi_rel_offset x20, 24
        stp     x21, x22, [sp, #32]
        .cfi_rel_offset x21, 32
        .cfi_rel_offset x22, 40
        stp     x23, x24, [sp, #48]
        .cfi_rel_offset x23, 48
        .cfi_rel_offset x24, 56
        stp     x25, x26, [sp, #64]
        .cfi_rel_offset x25, 64
        .cfi_rel_offset x26, 72
        stp     x27, x28, [sp, #80]
        .cfi_rel_offset x27, 80
        .cfi_rel_offset x28, 88
        stp     d8, d9, [sp, #96]
        .cfi_rel_offset d8, 96
        .cfi_rel_offset d9, 104
        stp     d10, d11, [sp, #112]
        .cfi_rel_offset d10, 112
        .cfi_rel_offset d11, 120
        stp     d12, d13, [sp, #128]
        .cfi_rel_offset d12, 128
        .cfi_rel_offset d13, 136
        stp     d14, d15, [sp, #144]
        .cfi_rel_offset d14, 144
        .cfi_rel_offset d15, 152
        mov     x9, sp
        str     x9, [x0]
        /* Both stacks look the same here, so the CFI stays true across it. */
        mov     sp, x1
        ldp     d14, d15, [sp, #144]
        ldp     d12, d13, [sp, #128]
        ldp     d10, d11, [sp, #112]
        ldp     d8, d9, [sp, #96]
        ldp     x27, x28, [sp, #80]
        ldp     x25, x26, [sp, #64]
        ldp     x23, x24, [sp, #48]
        ldp     x21, x22, [sp, #32]
        ldp     x19, x20, [sp, #16]
        ldp     x29, x30, [sp], #160
        .cfi_def_cfa_offset 0
        .cfi_restore x29
        .cfi_restore x30
        .cfi_restore x19
        .cfi_restore x20
        .cfi_restore x21
        .cfi_restore x22
        .cfi_restore x23
        .cfi_restore x24
        .cfi_restore x25
        .cfi_restore x26
        .cfi_restore x27
        .cfi_restore x28
        .cfi_restore d8
        .cfi_restore d9
        .cfi_restore d10
        .cfi_restore d11
        .cfi_restore d12
        .cfi_restore d13
        .cfi_restore d14
        .cfi_restore d15
        ret
        .cfi_endproc
        .size   gust__ctx_swap, . - gust__ctx_swap
        .size   gust__ctx_swap_alike, . - gust__ctx_swap_alike

/* Where a fresh context begins: entry in x19, its argument in x20 (set by
 * gust__ctx_init).  The return address is undefined: unwinding ends here.  The
 * nop gives an unwinder, which looks up the return address minus one, something
 * to find that belongs to this function. */
        .globl  gust__ctx_start
        .hidden gust__ctx_start
        .type   gust__ctx_start, %function
        .p2align 4
        .cfi_startproc
        .cfi_undefined x30
        nop
gust__ctx_start:
        mov     x0, x20
        blr     x19
        brk     #1
        .cfi_endproc
        .size   gust__ctx_start, . - gust__ctx_start

        .section .note.GNU-stack, "", %progbits
