#include "core/rights.h"

#include <string.h>
#include <unistd.h>

/* Since Linux 6.5, on sockets that ask for it: a descriptor that nobody here knows. */
#define PIDFD_TYPE 0x04

static size_t take_of_one(const struct cmsghdr *cmsg, int *fds, size_t max)
{
    size_t count = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; i++) {
        int fd; /* not aligned, as far as the compiler knows */
        memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof fd, sizeof fd);
        if (i < max)
            fds[i] = fd;
        else
            close(fd);
    }
    return count;
}

size_t gust__rights_take(struct msghdr *msg, int *fds, size_t max)
{
    size_t count = 0;
    for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg); cmsg; cmsg = CMSG_NXTHDR(msg, cmsg)) {
        if (cmsg->cmsg_level != SOL_SOCKET)
            continue;
        if (cmsg->cmsg_type == PIDFD_TYPE)
            take_of_one(cmsg, NULL, 0);
        if (cmsg->cmsg_type != SCM_RIGHTS)
            continue;
        size_t kept = count < max ? count : max;
        count += take_of_one(cmsg, max > kept ? fds + kept : NULL, max - kept);
    }
    return count;
}

void gust__rights_close(struct msghdr *msg)
{
    gust__rights_take(msg, NULL, 0);
}
