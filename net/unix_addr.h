/* Unix addresses as text; for addr.c, which says what the text looks like. */
#ifndef GUST_NET_UNIX_ADDR_H
#define GUST_NET_UNIX_ADDR_H

#include <gust/net.h>

#define GUST__UNIX_PREFIX "unix:"

/* What follows the prefix.  Errors: -EINVAL. */
int gust__unix_addr_parse(const char *name, gust_addr *ret_addr);

void gust__unix_addr_format(const gust_addr *addr, char text[GUST_ADDR_TEXT_MAX]);

/* True if it names a file, and nothing else. */
bool gust__unix_addr_is_path(const gust_addr *addr);

#endif
