/* The driver of lwIP: what its files share. See ../README.md for how lwIP is configured, and why.
 *
 *   main.c    the command line, the line that is printed
 *   flow.c    connections on lwIP's raw interface, as the loads use them
 *   engine.c  two interfaces of one lwIP on a wire in memory
 *   wire.c    one interface on a packet socket
 */
#ifndef DRIVER_H
#define DRIVER_H

#include <lwip/netif.h>
#include <lwip/pbuf.h>
#include <lwip/tcp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is written and read at a time. */
#define CHUNK (64 * 1024)
/* What is said on a connection that is only opened and closed. */
#define MESSAGE 64

enum load { BULK_SEND, BULK_RECEIVE, REQUEST, CONNECT };

/* How long something took, by how often: columns at most 1/128 of their value wide. */
struct latency {
    uint64_t columns[64 << 7];
    uint64_t count;
};

struct outcome {
    const char *unit;
    uint64_t count;
    uint64_t nanoseconds;
    struct latency *latency;
};

/* Ends the program with a line on standard error. */
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Monotonic, in nanoseconds. */
uint64_t now_ns(void);
void latency_record(struct latency *latency, uint64_t nanoseconds);

/* Segments that a flow holds until they are read. */
#define FLOW_QUEUE 1024

/* A connection. */
struct flow {
    struct tcp_pcb *pcb;
    bool open, ended, lost;
    unsigned head, tail;
    struct pbuf *queue[FLOW_QUEUE];
};

/* What a reading gave besides a count. */
enum { NOTHING = 0, END = -1 };

/* Accepts connections on a port of an interface; flow_accept gives them. */
void flow_listen(struct netif *netif, uint16_t port);
struct flow *flow_accept(void);
/* Begins to connect from an interface. */
struct flow *flow_connect(struct netif *netif, const ip4_addr_t *address, uint16_t port);
/* Copies bytes into the send queue and sends what may be sent; says how many found room. */
size_t flow_write(struct flow *flow, const void *bytes, size_t len);
/* Copies bytes out of the receive queue: how many, NOTHING or END. */
long flow_read(struct flow *flow, void *into, size_t len);
/* Closes and lets go. */
void flow_close(struct flow *flow);
/* Ends with a RST, so that the peer forgets the connection at once. */
void flow_abort(struct flow *flow);

struct outcome engine(enum load load, double seconds, size_t idle);
struct outcome wire(const char *interface, const char *address, int prefix, enum load load, const char *peer,
                    uint16_t port, size_t size, size_t flows, double seconds);

#endif
