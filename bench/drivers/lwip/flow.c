/* Connections on lwIP's raw interface: callbacks turned into queues that the loads look at.
 *
 * A segment's pbuf stays in the flow's queue until it is read, and its bytes are then copied once; the window opens by
 * what was read. */
#include "driver.h"

#include <lwip/priv/tcp_priv.h>
#include <stdlib.h>
#include <string.h>

/* Connections in TIME-WAIT that are kept. Elsewhere lwIP's pool of connections is small and takes the oldest of them
 * again; Debian's allocates without end, and walks through all of them for each segment. */
#define TIME_WAIT_KEPT 16

static struct flow *accepted[256];
static unsigned accepted_head, accepted_tail;

static err_t receive(void *argument, struct tcp_pcb *pcb, struct pbuf *segment, err_t error) {
    struct flow *flow = argument;
    (void)pcb;
    (void)error;
    if (!segment) {
        flow->ended = true;
        return ERR_OK;
    }
    if (flow->tail - flow->head == FLOW_QUEUE)
        return ERR_MEM;
    flow->queue[flow->tail++ % FLOW_QUEUE] = segment;
    return ERR_OK;
}

static void lost(void *argument, err_t error) {
    struct flow *flow = argument;
    (void)error;
    /* The control block is gone already. */
    flow->pcb = NULL;
    flow->lost = true;
}

static err_t connected(void *argument, struct tcp_pcb *pcb, err_t error) {
    struct flow *flow = argument;
    (void)pcb;
    (void)error;
    flow->open = true;
    return ERR_OK;
}

static struct flow *adopt(struct tcp_pcb *pcb) {
    struct flow *flow = calloc(1, sizeof *flow);
    if (!flow)
        fail("no memory for a connection");
    flow->pcb = pcb;
    tcp_arg(pcb, flow);
    tcp_recv(pcb, receive);
    tcp_err(pcb, lost);
    tcp_nagle_disable(pcb);
    return flow;
}

static err_t accept(void *argument, struct tcp_pcb *pcb, err_t error) {
    (void)argument;
    if (error != ERR_OK || !pcb)
        return ERR_VAL;
    if (accepted_tail - accepted_head == 256)
        return ERR_MEM;
    struct flow *flow = adopt(pcb);
    flow->open = true;
    accepted[accepted_tail++ % 256] = flow;
    return ERR_OK;
}

void flow_listen(struct netif *netif, uint16_t port) {
    struct tcp_pcb *pcb = tcp_new();
    if (!pcb)
        fail("no memory for a listener");
    tcp_bind_netif(pcb, netif);
    if (tcp_bind(pcb, netif_ip_addr4(netif), port) != ERR_OK)
        fail("cannot bind port %u", port);
    pcb = tcp_listen_with_backlog(pcb, 255);
    if (!pcb)
        fail("cannot listen on port %u", port);
    tcp_accept(pcb, accept);
}

struct flow *flow_accept(void) {
    return accepted_head == accepted_tail ? NULL : accepted[accepted_head++ % 256];
}

struct flow *flow_connect(struct netif *netif, const ip4_addr_t *address, uint16_t port) {
    struct tcp_pcb *pcb = tcp_new();
    if (!pcb)
        fail("no memory for a connection");
    struct flow *flow = adopt(pcb);
    ip_addr_t remote;
    ip_addr_copy_from_ip4(remote, *address);
    tcp_bind_netif(pcb, netif);
    err_t error = tcp_connect(pcb, &remote, port, connected);
    if (error != ERR_OK)
        fail("cannot connect: lwIP's error %d%s", error, error == ERR_BUF ? ", no port is left" : "");
    return flow;
}

size_t flow_write(struct flow *flow, const void *bytes, size_t len) {
    if (flow->lost)
        fail("a connection was refused or lost");
    if (!flow->open)
        return 0;
    size_t room = tcp_sndbuf(flow->pcb);
    if (len > room)
        len = room;
    if (len == 0 || tcp_write(flow->pcb, bytes, (u16_t)len, TCP_WRITE_FLAG_COPY) != ERR_OK)
        return 0;
    tcp_output(flow->pcb);
    return len;
}

long flow_read(struct flow *flow, void *into, size_t len) {
    size_t read = 0;
    while (flow->head != flow->tail && read < len) {
        struct pbuf **first = &flow->queue[flow->head % FLOW_QUEUE];
        u16_t count = pbuf_copy_partial(*first, (char *)into + read, (u16_t)LWIP_MIN(len - read, 0xffff), 0);
        read += count;
        if (count == (*first)->tot_len) {
            pbuf_free(*first);
            flow->head++;
        } else {
            *first = pbuf_free_header(*first, count);
        }
    }
    if (read > 0) {
        for (size_t left = read; flow->pcb && left > 0;) {
            u16_t part = (u16_t)LWIP_MIN(left, 0xffff);
            tcp_recved(flow->pcb, part);
            left -= part;
        }
        return (long)read;
    }
    if (flow->ended)
        return END;
    if (flow->lost)
        fail("a connection was refused or lost");
    return NOTHING;
}

void flow_close(struct flow *flow) {
    for (; flow->head != flow->tail; flow->head++)
        pbuf_free(flow->queue[flow->head % FLOW_QUEUE]);
    if (flow->pcb) {
        tcp_arg(flow->pcb, NULL);
        tcp_recv(flow->pcb, NULL);
        tcp_err(flow->pcb, NULL);
        if (tcp_close(flow->pcb) != ERR_OK)
            tcp_abort(flow->pcb);
    }
    free(flow);
    unsigned kept = 0;
    for (struct tcp_pcb *pcb = tcp_tw_pcbs, *after; pcb; pcb = after) {
        after = pcb->next;
        if (++kept > TIME_WAIT_KEPT)
            tcp_abort(pcb);
    }
}

void flow_abort(struct flow *flow) {
    for (; flow->head != flow->tail; flow->head++)
        pbuf_free(flow->queue[flow->head % FLOW_QUEUE]);
    if (flow->pcb) {
        tcp_err(flow->pcb, NULL);
        tcp_abort(flow->pcb);
    }
    free(flow);
}
