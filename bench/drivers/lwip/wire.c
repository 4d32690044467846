/* One lwIP on an interface, against a server behind it. A turn takes what has arrived, lets the program act, and hands over
 * what may be sent; only when nothing could be done does the thread sleep. */
#include "driver.h"
#include "packet.h"

#include <lwip/ip4_addr.h>
#include <lwip/timeouts.h>
#include <stdlib.h>

#define PATIENCE 10000000000ull

static struct netif *netif;
static ip4_addr_t peer_address;
static uint16_t peer_port;
static uint64_t now, progress;

static void turn(bool busy) {
    packet_flush();
    now = now_ns();
    if (busy)
        progress = now;
    sys_check_timeouts();
    if (packet_receive() || busy)
        return;
    packet_flush();
    packet_wait(1000);
    now = now_ns();
    if (now - progress > PATIENCE)
        fail("the peer is silent");
    packet_receive();
}

static struct flow *open_flow(void) {
    struct flow *flow = flow_connect(netif, &peer_address, peer_port);
    progress = now;
    while (!flow->open) {
        if (flow->lost)
            fail("the connection was refused");
        turn(false);
    }
    return flow;
}

static struct outcome bulk(bool sends, size_t count_of_flows, uint64_t duration) {
    static char buffer[CHUNK];
    struct flow **flows = calloc(count_of_flows, sizeof *flows);
    if (!flows)
        fail("no memory for %zu flows", count_of_flows);
    for (size_t i = 0; i < count_of_flows; i++)
        flows[i] = open_flow();
    uint64_t start = now, count = 0;
    while (now < start + duration) {
        uint64_t before = count;
        for (size_t i = 0; i < count_of_flows; i++) {
            long moved = sends ? (long)flow_write(flows[i], buffer, CHUNK) : flow_read(flows[i], buffer, CHUNK);
            if (moved == END)
                fail("the peer has ended the stream");
            count += (uint64_t)moved;
        }
        turn(count > before);
    }
    /* Nobody will answer for us when the program has ended: so the peer is told. */
    for (size_t i = 0; i < count_of_flows; i++)
        flow_abort(flows[i]);
    packet_flush();
    return (struct outcome){"bytes", count, now - start, NULL};
}

/* A message there, and as many bytes back. */
static void exchange(struct flow *flow, char *buffer, size_t size) {
    for (size_t sent = 0, read = 0; read < size;) {
        size_t wrote = sent < size ? flow_write(flow, buffer + sent, size - sent) : 0;
        sent += wrote;
        long got = flow_read(flow, buffer + read, size - read);
        if (got == END)
            fail("the peer has closed before it answered");
        read += (size_t)got;
        if (got > 0)
            progress = now;
        else
            turn(wrote > 0);
    }
}

static struct outcome request(size_t size, uint64_t duration) {
    static struct latency latency;
    char *buffer = calloc(1, size ? size : 1);
    if (!buffer)
        fail("no memory for a message");
    struct flow *flow = open_flow();
    uint64_t start = now = now_ns(), count = 0;
    while (now < start + duration) {
        uint64_t begun = now;
        exchange(flow, buffer, size);
        now = now_ns();
        latency_record(&latency, now - begun);
        count++;
    }
    flow_abort(flow);
    packet_flush();
    return (struct outcome){"requests", count, now - start, &latency};
}

static struct outcome connect_each(uint64_t duration) {
    char buffer[MESSAGE] = {0};
    uint64_t start = now = now_ns(), count = 0;
    while (now < start + duration) {
        struct flow *flow = open_flow();
        exchange(flow, buffer, MESSAGE);
        for (long got; (got = flow_read(flow, buffer, MESSAGE)) != END; turn(false))
            if (got > 0)
                fail("the answer is too long");
        flow_close(flow);
        count++;
    }
    return (struct outcome){"connections", count, now - start, NULL};
}

struct outcome wire(const char *interface, const char *address, int prefix, enum load load, const char *peer,
                    uint16_t port, size_t size, size_t flows, double seconds) {
    uint64_t duration = (uint64_t)(seconds * 1e9);
    netif = packet_open(interface, address, prefix);
    if (!ip4addr_aton(peer, &peer_address))
        fail("%s: not an address", peer);
    peer_port = port;
    now = progress = now_ns();
    switch (load) {
    case REQUEST:
        return request(size, duration);
    case CONNECT:
        return connect_each(duration);
    default:
        return bulk(load == BULK_SEND, flows, duration);
    }
}
