/* Descriptors in control messages (SCM_RIGHTS), which recvmsg(2) has opened. */
#ifndef GUST_CORE_RIGHTS_H
#define GUST_CORE_RIGHTS_H

#include <stddef.h>
#include <sys/socket.h>

/* Moves at most `max` descriptors of what was received out to `fds`, in their order,
 * and closes the others.  Returns how many came, which may be more than max.  Any
 * thread. */
size_t gust__rights_take(struct msghdr *msg, int *fds, size_t max);

/* Closes all. */
void gust__rights_close(struct msghdr *msg);

#endif
