/* The context switch: what it keeps, how a context begins, that walks of its
 * stack end, and (under the sanitizers) that their hooks are in the right order. */
#include "core/ctx.h"

#include <execinfo.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>

#include "core/backtrace.h"
#include "tests/harness/test.h"

enum { STACK_SIZE = 128 << 10 };

static char *stack_new(void)
{
    char *stack =
        mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    cr_assert(stack != MAP_FAILED);
    return stack;
}

static void stack_free(char *stack)
{
    gust__asan_forget(stack, STACK_SIZE);
    munmap(stack, STACK_SIZE);
}

/* Two contexts that take turns: the test's thread and one more. */
typedef struct pair {
    gust__ctx main, other;
    long turns;
    uintptr_t frame;
} pair;

static void pair_to_other(pair *p)
{
    gust__ctx_switch(&p->main, &p->other, false);
}

static void pair_to_main(pair *p)
{
    gust__ctx_switch(&p->other, &p->main, false);
}

static void pair_start(pair *p, char *stack, void (*entry)(void *arg))
{
    memset(p, 0, sizeof *p);
    gust__ctx_init_thread(&p->main);
    gust__ctx_init(&p->other, stack, STACK_SIZE, entry, p);
}

static void pair_end(pair *p)
{
    gust__ctx_fini(&p->other);
    gust__ctx_fini_thread(&p->main);
}

/* --- Registers ------------------------------------------------------------- */

/* unsigned registers_lost(void (*fn)(void *), void *arg, uintptr_t seed)
 * Fills every callee-saved register with a value made of the seed, calls
 * fn(arg), and returns a bit for each kind of register that changed. */
unsigned registers_lost(void (*fn)(void *arg), void *arg, uintptr_t seed);

#if defined(__x86_64__)
__asm__(".text\n"
        ".type registers_lost, @function\n"
        "registers_lost:\n"
        "    pushq %rbp\n    pushq %rbx\n    pushq %r12\n"
        "    pushq %r13\n    pushq %r14\n    pushq %r15\n"
        "    pushq %rdx\n"
        "    movq %rdi, %rax\n    movq %rsi, %rdi\n"
        "    leaq 1(%rdx), %rbp\n    leaq 2(%rdx), %rbx\n    leaq 3(%rdx), %r12\n"
        "    leaq 4(%rdx), %r13\n    leaq 5(%rdx), %r14\n    leaq 6(%rdx), %r15\n"
        "    callq *%rax\n"
        "    popq %rdx\n"
        "    xorl %eax, %eax\n"
        "    subq %rdx, %rbp\n    xorq $1, %rbp\n    orq %rbp, %rax\n"
        "    subq %rdx, %rbx\n    xorq $2, %rbx\n    orq %rbx, %rax\n"
        "    subq %rdx, %r12\n    xorq $3, %r12\n    orq %r12, %rax\n"
        "    subq %rdx, %r13\n    xorq $4, %r13\n    orq %r13, %rax\n"
        "    subq %rdx, %r14\n    xorq $5, %r14\n    orq %r14, %rax\n"
        "    subq %rdx, %r15\n    xorq $6, %r15\n    orq %r15, %rax\n"
        "    popq %r15\n    popq %r14\n    popq %r13\n"
        "    popq %r12\n    popq %rbx\n    popq %rbp\n"
        "    testq %rax, %rax\n    setne %al\n    movzbl %al, %eax\n"
        "    ret\n"
        ".size registers_lost, . - registers_lost\n");
#else
#define SAVE(a, b, at) "    stp " #a ", " #b ", [sp, #" #at "]\n"
#define LOAD(a, b, at) "    ldp " #a ", " #b ", [sp, #" #at "]\n"
#define FILL(n) "    add x" #n ", x2, #" #n "\n"
#define FILL_D(n) "    add x9, x2, #" #n "\n    fmov d" #n ", x9\n"
#define SEEN(n) "    sub x9, x" #n ", x2\n    sub x9, x9, #" #n "\n    orr x0, x0, x9\n"
#define SEEN_D(n) \
    "    fmov x9, d" #n "\n    sub x9, x9, x2\n    sub x9, x9, #" #n "\n    orr x0, x0, x9\n"
__asm__(".text\n"
        ".type registers_lost, %function\n"
        "registers_lost:\n"
        "    stp x29, x30, [sp, #-176]!\n    str x2, [sp, #160]\n" SAVE(x19, x20, 16) SAVE(
            x21, x22, 32) SAVE(x23, x24, 48) SAVE(x25, x26, 64) SAVE(x27, x28, 80) SAVE(d8, d9, 96)
            SAVE(d10, d11, 112) SAVE(d12, d13, 128) SAVE(d14, d15, 144) FILL(19) FILL(20) FILL(21)
                FILL(22) FILL(23) FILL(24) FILL(25) FILL(26) FILL(27) FILL(28) FILL_D(8) FILL_D(9)
                    FILL_D(10) FILL_D(11) FILL_D(12) FILL_D(13) FILL_D(14)
                        FILL_D(15) "    mov x9, x0\n    mov x0, x1\n    blr x9\n"
                                   "    ldr x2, [sp, #160]\n    mov x0, #0\n" SEEN(19) SEEN(20)
                                       SEEN(21) SEEN(22) SEEN(23) SEEN(24) SEEN(25) SEEN(26) SEEN(
                                           27) SEEN(28) SEEN_D(8) SEEN_D(9) SEEN_D(10) SEEN_D(11)
                                           SEEN_D(12) SEEN_D(13) SEEN_D(14) SEEN_D(
                                               15) LOAD(x19, x20, 16) LOAD(x21, x22, 32)
                                               LOAD(x23,
                                                    x24, 48) LOAD(x25, x26,
                                                                  64) LOAD(x27, x28, 80)
                                                   LOAD(d8, d9,
                                                        96) LOAD(d10,
                                                                 d11, 112) LOAD(d12, d13, 128)
                                                       LOAD(d14, d15,
                                                            144) "    ldp x29, x30, [sp], #176\n"
                                                                 "    cmp x0, #0\n    cset w0, ne\n"
                                                                 "    ret\n"
                                                                 ".size registers_lost, . - "
                                                                 "registers_lost\n");
#endif

static void call_to_other(void *arg)
{
    pair_to_other(arg);
}

static void call_to_main(void *arg)
{
    pair_to_main(arg);
}

static void fill_registers(void *arg)
{
    pair *p = arg;

    gust__ctx_entered();
    for (uintptr_t seed = 1000;; seed += 64) {
        CHECK_EQ(registers_lost(call_to_main, p, seed), 0);
        p->turns++;
    }
}

Test(ctx, switch_keeps_the_callee_saved_registers)
{
    char *stack = stack_new();
    pair p;

    pair_start(&p, stack, fill_registers);
    for (uintptr_t seed = 0x1234567800000000; seed < 0x1234567800000000 + 64000; seed += 64)
        cr_assert_eq(registers_lost(call_to_other, &p, seed), 0);
    cr_assert_eq(p.turns, 999);
    pair_end(&p);
    stack_free(stack);
}

/* --- Beginning and going on ------------------------------------------------- */

static void note_frame(void *arg)
{
    pair *p = arg;
    _Alignas(16) volatile char aligned[16];

    gust__ctx_entered();
    aligned[0] = 1;
    p->frame = (uintptr_t)__builtin_frame_address(0) | ((uintptr_t)&aligned[0] & 15);
    for (;;)
        pair_to_main(p);
}

Test(ctx, entry_finds_an_aligned_stack)
{
    char *stack = stack_new();
    pair p;

    /* A stack whose end is no multiple of 16 must do as well. */
    for (size_t odd = 0; odd < 16; odd++) {
        pair_start(&p, stack, note_frame);
        gust__ctx_fini(&p.other);
        gust__ctx_init(&p.other, stack, STACK_SIZE - odd, note_frame, &p);
        pair_to_other(&p);
        cr_assert_eq(p.frame % 16, 0);
        cr_assert(p.frame > (uintptr_t)stack && p.frame < (uintptr_t)stack + STACK_SIZE - odd);
        pair_end(&p);
    }
    stack_free(stack);
}

static void take_turns(void *arg)
{
    pair *p = arg;
    long mine = 0;

    gust__ctx_entered();
    for (;;) {
        CHECK_EQ(p->turns, 2 * mine + 1);
        mine++;
        p->turns++;
        pair_to_main(p);
    }
}

Test(ctx, two_contexts_take_turns)
{
    char *stack = stack_new();
    pair p;

    pair_start(&p, stack, take_turns);
    for (long mine = 0; mine < 200000; mine++) {
        cr_assert_eq(p.turns, 2 * mine);
        p.turns++;
        pair_to_other(&p);
    }
    pair_end(&p);
    stack_free(stack);
}

typedef struct ring {
    gust__ctx main, member[3];
    int order[8];
    int count;
} ring;

static ring the_ring;

static void ring_member(void *arg)
{
    int id = (int)(intptr_t)arg;
    gust__ctx *next = id < 2 ? &the_ring.member[id + 1] : &the_ring.main;

    gust__ctx_entered();
    for (;;) {
        the_ring.order[the_ring.count++] = id;
        gust__ctx_switch(&the_ring.member[id], next, false);
    }
}

Test(ctx, contexts_switch_to_each_other_without_the_main_one)
{
    static const int expected[] = {0, 1, 2, 0, 1, 2};
    char *stacks[3];

    gust__ctx_init_thread(&the_ring.main);
    for (int i = 0; i < 3; i++) {
        stacks[i] = stack_new();
        gust__ctx_init(&the_ring.member[i], stacks[i], STACK_SIZE, ring_member,
                       (void *)(intptr_t)i);
    }
    for (int round = 0; round < 2; round++)
        gust__ctx_switch(&the_ring.main, &the_ring.member[0], false);
    cr_assert_eq(the_ring.count, 6);
    cr_assert_arr_eq(the_ring.order, expected, sizeof expected);
    for (int i = 0; i < 3; i++) {
        gust__ctx_fini(&the_ring.member[i]);
        stack_free(stacks[i]);
    }
    gust__ctx_fini_thread(&the_ring.main);
}

/* --- Ending, and the stack's next user ------------------------------------- */

/* Leaves frames behind, as gust_goexit does from the depth of a call. */
__attribute__((noinline)) static void end_deep(pair *p, int depth)
{
    volatile char locals[64];

    memset((char *)locals, depth, sizeof locals);
    if (depth > 0)
        end_deep(p, depth - 1);
    else
        gust__ctx_switch(&p->other, &p->main, true);
    locals[0] = 0;
}

static void end_at_once(void *arg)
{
    pair *p = arg;

    gust__ctx_entered();
    p->turns++;
    end_deep(p, 20);
}

Test(ctx, a_stack_serves_many_contexts_that_ended)
{
    char *stack = stack_new();
    pair p;

    pair_start(&p, stack, end_at_once);
    for (int i = 0; i < 2000; i++) {
        pair_to_other(&p);
        cr_assert_eq(p.turns, i + 1);
        gust__ctx_fini(&p.other);
        gust__ctx_init(&p.other, stack, STACK_SIZE, end_at_once, &p);
    }
    pair_end(&p);
    stack_free(stack);
}

static void fill_stack(void *arg)
{
    pair *p = arg;
    char locals[STACK_SIZE / 2];

    gust__ctx_entered();
    memset(locals, 1, sizeof locals);
    p->turns += locals[p->turns];
    gust__ctx_switch(&p->other, &p->main, true);
}

Test(ctx, a_new_context_may_use_what_dead_frames_left)
{
    char *stack = stack_new();
    pair p;

    pair_start(&p, stack, end_at_once);
    pair_to_other(&p);
    gust__ctx_fini(&p.other);
    gust__ctx_init(&p.other, stack, STACK_SIZE, fill_stack, &p);
    pair_to_other(&p);
    cr_assert_eq(p.turns, 2);
    pair_end(&p);
    stack_free(stack);
}

/* --- Threads --------------------------------------------------------------- */

static pair migrant;

static void *resume_elsewhere(void *arg)
{
    (void)arg;
    gust__ctx_init_thread(&migrant.main);
    pair_to_other(&migrant);
    gust__ctx_fini_thread(&migrant.main);
    return NULL;
}

Test(ctx, a_context_goes_on_in_another_thread)
{
    char *stack = stack_new();

    pair_start(&migrant, stack, take_turns);
    for (long mine = 0; mine < 20; mine++) {
        pthread_t thread;

        migrant.turns++;
        cr_assert_eq(pthread_create(&thread, NULL, resume_elsewhere, NULL), 0);
        pthread_join(thread, NULL);
        cr_assert_eq(migrant.turns, 2 * mine + 2);
    }
    gust__ctx_init_thread(&migrant.main);
    pair_end(&migrant);
    stack_free(stack);
}

/* --- Walking --------------------------------------------------------------- */

typedef struct trace {
    pair p;
    void *pcs[64];
    int count;
} trace;

__attribute__((noinline)) static void unwind_here(trace *t)
{
    t->count = backtrace(t->pcs, 64);
    pair_to_main(&t->p);
}

static void unwind_entry(void *arg)
{
    trace *t = arg;

    gust__ctx_entered();
    for (;;)
        unwind_here(t);
}

static void trace_start(trace *t, char *stack)
{
    memset(t, 0, sizeof *t);
    gust__ctx_init_thread(&t->p.main);
    gust__ctx_init(&t->p.other, stack, STACK_SIZE, unwind_entry, t);
}

Test(ctx, unwinding_ends_at_the_first_frame)
{
    char *stack = stack_new();
    trace t;

    trace_start(&t, stack);
    pair_to_other(&t.p);
    /* unwind_here, unwind_entry and the trampoline; a sanitizer adds its own. */
    cr_assert_geq(t.count, 2);
    cr_assert_leq(t.count, 6);
    pair_end(&t.p);
    stack_free(stack);
}

Test(ctx, frame_records_of_a_parked_stack_lead_to_its_first_frame)
{
    char *stack = stack_new();
    const gust__ctx_frame *frame;
    void *pcs[16];
    size_t n;
    trace t;

    trace_start(&t, stack);
    frame = t.p.other.sp;
    cr_assert_eq(gust__frames_walk(&frame->fp, stack, stack + STACK_SIZE, pcs, 16), 1);
    pair_to_other(&t.p);
    frame = t.p.other.sp;
    n = gust__frames_walk(&frame->fp, stack, stack + STACK_SIZE, pcs, 16);
    cr_assert_geq(n, 2); /* unwind_here may have left by a tail call */
    cr_assert_leq(n, 6);
    cr_assert((char *)pcs[n - 2] > (char *)unwind_entry &&
              (char *)pcs[n - 2] < (char *)unwind_entry + 512);
    pair_end(&t.p);
    stack_free(stack);
}

Test(ctx, a_walk_stops_at_records_outside_the_stack)
{
    uintptr_t words[8] = {0};
    const char *low = (const char *)words, *high = low + sizeof words;
    void *pcs[4];

    words[0] = (uintptr_t)&words[4];
    words[1] = 11;
    words[4] = (uintptr_t)high; /* leads out */
    words[5] = 12;
    cr_assert_eq(gust__frames_walk(words, low, high, pcs, 4), 2);
    cr_assert_eq((uintptr_t)pcs[1], 12);
    cr_assert_eq(gust__frames_walk(words, low, high, pcs, 1), 1);
    words[4] = (uintptr_t)words; /* leads back */
    cr_assert_eq(gust__frames_walk(words, low, high, pcs, 4), 2);
    words[0] = (uintptr_t)&words[4] + 1; /* not aligned */
    cr_assert_eq(gust__frames_walk(words, low, high, pcs, 4), 1);
    words[0] = (uintptr_t)&words[7]; /* half a record */
    cr_assert_eq(gust__frames_walk(words, low, high, pcs, 4), 1);
    cr_assert_eq(gust__frames_walk(NULL, low, high, pcs, 4), 0);
}
