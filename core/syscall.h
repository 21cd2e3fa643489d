/* System calls without libc's part in them.
 *
 * In a program with threads libc makes recv(2), send(2) and epoll_wait(2) points of
 * cancellation: two locked instructions around each, a seventh of what a message costs
 * besides the kernel.  Nobody cancels a thread of ours.  Sanitizers and the static analyzer
 * have to see what is read and written, and get libc's functions. */
#ifndef GUST_CORE_SYSCALL_H
#define GUST_CORE_SYSCALL_H

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>

#include "core/ctx.h"

/* Each returns what the call does, or a negative errno value. */

#if defined(GUST__ASAN) || defined(GUST__TSAN) || defined(__clang_analyzer__)

static inline ssize_t gust__sys_recv(int fd, void *buf, size_t len, int flags)
{
    ssize_t n = recv(fd, buf, len, flags);
    return n < 0 ? -errno : n;
}

static inline ssize_t gust__sys_send(int fd, const void *buf, size_t len, int flags)
{
    ssize_t n = send(fd, buf, len, flags);
    return n < 0 ? -errno : n;
}

static inline int gust__sys_epoll_poll(int fd, struct epoll_event *events, int max)
{
    int n = epoll_wait(fd, events, max, 0);
    return n < 0 ? -errno : n;
}

#else

static inline long gust__syscall6(long nr, long a, long b, long c, long d, long e, long f)
{
#if defined(__x86_64__)
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "+a"(nr)
                     : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return nr;
#elif defined(__aarch64__)
    register long x8 __asm__("x8") = nr;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc 0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory");
    return x0;
#endif
}

static inline ssize_t gust__sys_recv(int fd, void *buf, size_t len, int flags)
{
    return gust__syscall6(SYS_recvfrom, fd, (long)buf, (long)len, flags, 0, 0);
}

static inline ssize_t gust__sys_send(int fd, const void *buf, size_t len, int flags)
{
    return gust__syscall6(SYS_sendto, fd, (long)buf, (long)len, flags, 0, 0);
}

/* epoll_wait(2) that does not wait. */
static inline int gust__sys_epoll_poll(int fd, struct epoll_event *events, int max)
{
    return (int)gust__syscall6(SYS_epoll_pwait, fd, (long)events, max, 0, 0, 0);
}

#endif
#endif
