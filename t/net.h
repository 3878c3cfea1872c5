/* net.h: is there a network to test with? */
#ifndef LEAT_T_NET_H
#define LEAT_T_NET_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

/* In a namespace of its own the loopback device is not up. */
static inline bool has_loopback(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(9),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool has = fd >= 0 && connect(fd, (struct sockaddr *)&at,
				      sizeof(at)) == 0;

	if (fd >= 0)
		close(fd);
	return has;
}

#endif
