/* Control messages that carry descriptors. */
#ifndef GUST_NET_CONTROL_H
#define GUST_NET_CONTROL_H

#include <gust/unix.h>
#include <sys/socket.h>

/* Room for as many descriptors as the kernel passes.  A receive gets more than that:
 * credentials and labels come too, if somebody has asked for them on the socket. */
typedef union gust__control {
    struct cmsghdr align;
    char send[CMSG_SPACE(GUST_FDS_MAX * sizeof(int))];
    char recv[CMSG_SPACE(GUST_FDS_MAX * sizeof(int)) + 512];
} gust__control;

/* Has msg carry `count` descriptors, at most GUST_FDS_MAX. */
void gust__control_send(struct msghdr *msg, gust__control *control, const int *fds, size_t count);

/* Has msg receive them. */
void gust__control_recv(struct msghdr *msg, gust__control *control);

/* Takes what msg has received; closes what there is no room for. */
void gust__control_take(struct msghdr *msg, gust_fds *fds);

/* Who is at the other end of a Unix socket.  Errors: -EOPNOTSUPP. */
int gust__peer_cred(int fd, gust_peer_cred *ret_cred);

#endif
