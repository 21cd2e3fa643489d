#include "net/control.h"

#include <errno.h>
#include <string.h>

#include "core/rights.h"

void gust__control_send(struct msghdr *msg, gust__control *control, const int *fds, size_t count)
{
    if (count == 0)
        return;
    msg->msg_control = control->send;
    msg->msg_controllen = CMSG_SPACE(count * sizeof *fds);
    memset(control->send, 0, msg->msg_controllen);
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg);
    cmsg->cmsg_level = SOL_SOCKET;
    cmsg->cmsg_type = SCM_RIGHTS;
    cmsg->cmsg_len = CMSG_LEN(count * sizeof *fds);
    memcpy(CMSG_DATA(cmsg), fds, count * sizeof *fds);
}

void gust__control_recv(struct msghdr *msg, gust__control *control)
{
    msg->msg_control = control->recv;
    msg->msg_controllen = sizeof control->recv;
}

void gust__control_take(struct msghdr *msg, gust_fds *fds)
{
    size_t came = gust__rights_take(msg, fds->fds, fds->max);
    fds->count = came < fds->max ? came : fds->max;
    fds->truncated = came > fds->max || (msg->msg_flags & MSG_CTRUNC);
}

int gust__peer_cred(int fd, gust_peer_cred *ret_cred)
{
    int family = AF_UNSPEC;
    struct ucred cred;
    socklen_t family_len = sizeof family, len = sizeof cred;
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &family_len) < 0 || family != AF_UNIX)
        return -EOPNOTSUPP;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
        return -errno;
    *ret_cred = (gust_peer_cred){.pid = cred.pid, .uid = cred.uid, .gid = cred.gid};
    return 0;
}
