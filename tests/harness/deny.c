/* Runs a program that may not use io_uring, as in a container:
 *
 *     deny MODE PROGRAM [ARGS...]
 *
 * Every call of the kind that MODE names is answered by an error, or ends the
 * process; so it goes for the program, its threads and its children. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The three system calls have consecutive numbers. */
_Static_assert(SYS_io_uring_enter == SYS_io_uring_setup + 1, "");
_Static_assert(SYS_io_uring_register == SYS_io_uring_setup + 2, "");

static const struct mode {
    const char *name;
    unsigned first, last; /* system calls */
    unsigned action;
} modes[] = {
    {"eperm", SYS_io_uring_setup, SYS_io_uring_register, SECCOMP_RET_ERRNO | EPERM},
    {"enosys", SYS_io_uring_setup, SYS_io_uring_register, SECCOMP_RET_ERRNO | ENOSYS},
    {"enter", SYS_io_uring_enter, SYS_io_uring_enter, SECCOMP_RET_ERRNO | EPERM},
    {"register", SYS_io_uring_register, SYS_io_uring_register, SECCOMP_RET_ERRNO | EPERM},
    {"kill", SYS_io_uring_setup, SYS_io_uring_register, SECCOMP_RET_KILL_PROCESS},
};

static int deny(const struct mode *m)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, m->first, 0, 2),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, m->last, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, m->action),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
        return -errno;
    return 0;
}

static const struct mode *find(const char *name)
{
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (strcmp(modes[i].name, name) == 0)
            return &modes[i];
    return NULL;
}

int main(int argc, char **argv)
{
    const struct mode *m = argc >= 3 ? find(argv[1]) : NULL;
    if (!m) {
        fprintf(stderr, "usage: deny eperm|enosys|enter|register|kill PROGRAM [ARGS...]\n");
        return 2;
    }
    int error = deny(m);
    if (error) {
        fprintf(stderr, "deny: seccomp: %s\n", strerror(-error));
        return 77;
    }
    execvp(argv[2], argv + 2);
    fprintf(stderr, "deny: %s: %s\n", argv[2], strerror(errno));
    return 127;
}
