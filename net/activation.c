/* Socket activation, without libsystemd: sd_listen_fds(3) describes the protocol.
 *
 * Always: a socket's fd is -1 once it was taken. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/call.h"
#include "core/inject.h"
#include "net/inherit.h"

#define FIRST_FD 3
#define COUNT_MAX 65536

typedef struct passed_socket {
    int fd;
    const char *name; /* in `names`, or a literal */
} passed_socket;

struct gust_activation {
    size_t count;
    char *names; /* LISTEN_FDNAMES, cut at its colons; may be NULL */
    passed_socket sockets[];
};

/* --- The environment --------------------------------------------------------- */

/* Digits only.  Errors: -EINVAL. */
static int read_number(const char *text, long max, long *ret_number)
{
    char *end;
    errno = 0;
    long number = strtol(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end || errno || number > max)
        return -EINVAL;
    *ret_number = number;
    return 0;
}

/* How many sockets are there for this process? */
static int read_count(long *ret_count)
{
    const char *pid_text = getenv("LISTEN_PID"), *count_text = getenv("LISTEN_FDS");
    long pid;
    *ret_count = 0;
    if (!pid_text || !count_text)
        return 0;
    int error = read_number(pid_text, INT_MAX, &pid);
    if (error || pid != getpid())
        return error;
    return read_number(count_text, COUNT_MAX, ret_count);
}

static void clear_environment(void)
{
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_PIDFDID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
}

/* --- Taking ------------------------------------------------------------------ */

static gust_activation *activation_new(size_t count, const char *names)
{
    gust_activation *a = gust__calloc(1, sizeof *a + count * sizeof a->sockets[0]);
    if (!a)
        return NULL;
    a->count = count;
    if (names && count > 0) {
        a->names = gust__malloc(strlen(names) + 1);
        if (!a->names) {
            free(a);
            return NULL;
        }
        strcpy(a->names, names);
    }
    for (size_t i = 0; i < count; i++)
        a->sockets[i] = (passed_socket){.fd = FIRST_FD + (int)i, .name = "unknown"};
    return a;
}

/* Cuts the names at their colons; there must be one for each. */
static int give_names(gust_activation *a)
{
    size_t given = 0;
    for (char *rest = a->names, *name; (name = strsep(&rest, ":")); given++)
        if (given < a->count && *name)
            a->sockets[given].name = name;
    return !a->names || given == a->count ? 0 : -EINVAL;
}

static int set_close_on_exec(const gust_activation *a)
{
    int error = 0;
    for (size_t i = 0; i < a->count; i++)
        if (fcntl(a->sockets[i].fd, F_SETFD, FD_CLOEXEC) < 0)
            error = -errno;
    return error;
}

int gust_activation_take(gust_activation **ret_activation)
{
    long count;
    int error = read_count(&count);
    gust_activation *a = error ? NULL : activation_new((size_t)count, getenv("LISTEN_FDNAMES"));
    if (!error && !a)
        return -ENOMEM;
    clear_environment();
    if (error)
        return error;
    error = set_close_on_exec(a);
    if (!error)
        error = give_names(a);
    if (error) {
        free(a->names); /* whatever these descriptors are, we were not given them */
        free(a);
        return error;
    }
    *ret_activation = a;
    return 0;
}

void gust_activation_free(gust_activation *a)
{
    if (!a)
        return;
    for (size_t i = 0; i < a->count; i++)
        if (a->sockets[i].fd >= 0)
            close(a->sockets[i].fd);
    free(a->names);
    free(a);
}

/* --- What there is ----------------------------------------------------------- */

size_t gust_activation_count(const gust_activation *a)
{
    return a->count;
}

const char *gust_activation_name(const gust_activation *a, size_t index)
{
    return index < a->count ? a->sockets[index].name : NULL;
}

ssize_t gust_activation_find(const gust_activation *a, const char *name, size_t from)
{
    for (size_t i = from; i < a->count; i++)
        if (strcmp(a->sockets[i].name, name) == 0)
            return (ssize_t)i;
    return -ENOENT;
}

int gust_activation_fd(gust_activation *a, size_t index)
{
    if (index >= a->count || a->sockets[index].fd < 0)
        return -ENOENT;
    int fd = a->sockets[index].fd;
    a->sockets[index].fd = -1;
    return fd;
}

int gust_activation_listener(gust_activation *a, size_t index, gust_listener **ret_listener)
{
    GUST__CALL();
    bool listens;
    if (index >= a->count || a->sockets[index].fd < 0)
        return -ENOENT;
    int type = gust__socket_type(a->sockets[index].fd, &listens);
    if (type < 0)
        return type;
    if (type != SOCK_STREAM)
        return -EPROTOTYPE;
    if (!listens)
        return -EINVAL;
    int error = gust__listener_inherit(a->sockets[index].fd, type, ret_listener);
    if (!error)
        a->sockets[index].fd = -1;
    return error;
}

/* --- A server with one listener ------------------------------------------------ */

int gust_listen_activated(const gust_addr *addr, gust_listener **ret_listener)
{
    gust_activation *a;
    int error = gust_activation_take(&a);
    if (error)
        return error;
    if (a->count == 0)
        error = gust_listen(addr, ret_listener);
    else
        error = a->count > 1 ? -EINVAL : gust_activation_listener(a, 0, ret_listener);
    gust_activation_free(a);
    return error;
}
