/* Backtraces: of the running code, of the code a signal interrupted, and of
 * goroutines that are parked. */
#ifndef GUST_CORE_BACKTRACE_H
#define GUST_CORE_BACKTRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <ucontext.h>

enum { GUST__FRAMES_MAX = 32 };

/* The first backtrace loads the unwinder, which a signal handler must not do. */
void gust__backtrace_prepare(void);

/* Follows frame records from `fp` while they lie in [low, high) and rise; the
 * return addresses found go to ret_pcs.  Signal handler safe. */
size_t gust__frames_walk(const void *fp, const char *low, const char *high, void **ret_pcs,
                         size_t max);

/* The same for a context that is not running: `sp` is its gust__ctx_frame.  Reads
 * through the kernel, so that it may be running again, or its stack be unmapped,
 * meanwhile: then the answer is useless, but nothing faults.  0 where the kernel
 * refuses process_vm_readv(2). */
size_t gust__frames_peek(const void *sp, const char *low, const char *high, void **ret_pcs,
                         size_t max);

/* Copies n bytes, or returns false if they cannot be read. */
bool gust__peek(void *to, const void *from, size_t n);

/* Prints return addresses, a line each that begins with `indent`. */
void gust__frames_print(int fd, const char *indent, void *const *pcs, size_t n);

/* Prints where `pc` is, and a newline: "program(function+0x1f) [0x4011d6]". */
void gust__pc_print(int fd, const void *pc);

/* Prints the caller's backtrace, one line per frame, each begun with `indent`. */
void gust__backtrace_print(int fd, const char *indent);

/* Prints the backtrace of what a signal interrupted, on the stack [low, high). */
void gust__backtrace_print_context(int fd, const char *indent, const ucontext_t *uc,
                                   const char *low, const char *high);

/* The stack pointer of what a signal interrupted. */
const void *gust__context_sp(const ucontext_t *uc);

#endif
