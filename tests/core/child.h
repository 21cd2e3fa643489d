/* For tests of what ends a process: runs a function in a child and reports how
 * the child ended and what it wrote to stderr. */
#ifndef GUST_TESTS_CORE_CHILD_H
#define GUST_TESTS_CORE_CHILD_H

#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/harness/test.h"

/* Signals get their default action back, because sanitizers and Criterion have
 * handlers of their own; and no core file is left behind. */
_Noreturn static inline void child_main(void (*fn)(void), int err_fd)
{
    static const int deadly[] = {SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE};
    struct rlimit no_core = {0, 0};

    for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++)
        signal(deadly[i], SIG_DFL);
    setrlimit(RLIMIT_CORE, &no_core);
    dup2(err_fd, STDERR_FILENO);
    alarm(TEST_TIMEOUT_S);
    fn();
    _exit(0);
}

/* Returns the wait status; the text is cut to fit and NUL-terminated. */
static inline int child_run(void (*fn)(void), char *text, size_t size)
{
    int fds[2], status = -1;
    size_t len = 0;
    char rest[512];
    ssize_t n;
    pid_t pid;

    cr_assert_eq(pipe(fds), 0);
    pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0)
        child_main(fn, fds[1]);
    close(fds[1]);
    while (len < size - 1 && (n = read(fds[0], text + len, size - 1 - len)) > 0)
        len += (size_t)n;
    text[len] = '\0';
    while (read(fds[0], rest, sizeof rest) > 0)
        continue;
    close(fds[0]);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    return status;
}

/* Asserts that fn ends its process by `sig`; 0: that it returns. */
#define child_assert_ends(fn, sig)                                                        \
    do {                                                                                  \
        char child_text_[4096];                                                           \
        int child_status_ = child_run((fn), child_text_, sizeof child_text_);             \
        cr_assert_eq(WIFSIGNALED(child_status_) ? WTERMSIG(child_status_) : 0, sig, "%s", \
                     child_text_);                                                        \
        cr_assert((sig) != 0 || WEXITSTATUS(child_status_) == 0, "%s", child_text_);      \
    } while (0)

#endif
