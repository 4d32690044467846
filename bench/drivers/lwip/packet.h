/* lwIP on a packet socket. */
#ifndef PACKET_H
#define PACKET_H

#include <lwip/netif.h>
#include <stdbool.h>

/* Puts lwIP on an interface, with an address. */
struct netif *packet_open(const char *interface, const char *address, int prefix);
/* Takes what has arrived; says whether there was anything. */
bool packet_receive(void);
/* Sends what lwIP has handed over. */
void packet_flush(void);
/* Sleeps until a frame has arrived or a timer is due, at most for so long. */
void packet_wait(int milliseconds);

#endif
