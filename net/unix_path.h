/* The file that a Unix socket is bound to: making it, replacing a dead one, and
 * removing it if it is still ours. */
#ifndef GUST_NET_UNIX_PATH_H
#define GUST_NET_UNIX_PATH_H

#include <gust/unix.h>

typedef struct gust__unix_path gust__unix_path;

/* Binds a socket as the options say.  *ret_path is what has to go to
 * gust__unix_unbind, before the socket is closed; NULL if there is no file, or it is
 * to be kept.  A call is under way; may park for a second or so.
 * Errors: those of gust_unix_listen. */
int gust__unix_bind(int fd, const gust_addr *addr, const gust_unix_options *options,
                    gust__unix_path **ret_path);

/* Removes the file if it is still the one that was made, and frees the record.
 * NULL is accepted.  A call is under way; may park for a second or so. */
void gust__unix_unbind(gust__unix_path *path);

#endif
