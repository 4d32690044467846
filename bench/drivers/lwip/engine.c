/* Two interfaces of one lwIP, joined by a wire in memory, in one thread.
 *
 * lwIP keeps its state in global variables, so there cannot be two of it in a program. One with two interfaces does the
 * same work: the client's connections are bound to the one, the server's to the other, and every packet goes from the
 * first's output function to the second's input. What they share is the list of connections: it is twice as long. */
#include "driver.h"

#include <lwip/ip.h>
#include <lwip/timeouts.h>
#include <stdlib.h>
#include <string.h>

#define PORT 7000
#define IDLE_PORT 7001
/* Packets that a direction holds: more than a window. */
#define LIMIT 512
#define MTU 1500
/* lwIP knows 16,384 ephemeral ports, and takes each once, whoever the peer. */
#define MOST_IDLE 16000
#define PATIENCE 5000000000ull

/* A packet on its way: a pbuf of ours, which comes back when lwIP has done with it. */
struct packet {
    struct pbuf_custom custom;
    struct packet *next_free;
    char bytes[MTU + 4];
};

/* What one interface has sent and the other has yet to take. */
struct direction {
    struct pbuf *queue[LIMIT];
    unsigned head, tail;
};

static struct netif near_netif, far_netif;
static struct direction there, back;
static struct packet *stock;

static void take_back(struct pbuf *pbuf) {
    struct packet *packet = (struct packet *)pbuf;
    packet->next_free = stock;
    stock = packet;
}

static err_t output(struct netif *netif, struct pbuf *pbuf, const ip4_addr_t *destination) {
    struct direction *direction = netif->state;
    (void)destination;
    if (pbuf->tot_len > MTU || direction->tail - direction->head == LIMIT)
        return ERR_BUF;
    struct packet *packet = stock;
    if (packet)
        stock = packet->next_free;
    else if (!(packet = malloc(sizeof *packet)))
        return ERR_MEM;
    packet->custom.custom_free_function = take_back;
    pbuf_copy_partial(pbuf, packet->bytes, pbuf->tot_len, 0);
    direction->queue[direction->tail++ % LIMIT] = pbuf_alloced_custom(PBUF_RAW, pbuf->tot_len, PBUF_REF,
                                                                      &packet->custom, packet->bytes, MTU);
    return ERR_OK;
}

static err_t set_up(struct netif *netif) {
    netif->name[0] = 'm';
    netif->name[1] = 'e';
    netif->mtu = MTU;
    netif->output = output;
    return ERR_OK;
}

static void add(struct netif *netif, struct direction *direction, int last) {
    ip4_addr_t address, mask, gateway;
    IP4_ADDR(&address, 10, 0, 0, last);
    IP4_ADDR(&mask, 255, 255, 255, 0);
    ip4_addr_set_zero(&gateway);
    if (!netif_add(netif, &address, &mask, &gateway, direction, set_up, ip_input))
        fail("cannot add an interface");
    netif_set_link_up(netif);
    netif_set_up(netif);
}

static void deliver(struct direction *direction, struct netif *netif) {
    while (direction->head != direction->tail) {
        struct pbuf *pbuf = direction->queue[direction->head++ % LIMIT];
        if (netif->input(pbuf, netif) != ERR_OK)
            pbuf_free(pbuf);
    }
}

/* The far side takes what has arrived; timers fire. */
static uint64_t go_there(void) {
    sys_check_timeouts();
    deliver(&there, &far_netif);
    return now_ns();
}

static void go_back(void) {
    deliver(&back, &near_netif);
}

static void check(uint64_t since, uint64_t now) {
    if (now - since > PATIENCE)
        fail("nothing has moved for a while");
}

static void open_pair(uint16_t port, struct flow **near, struct flow **far) {
    uint64_t start = now_ns();
    *near = flow_connect(&near_netif, netif_ip4_addr(&far_netif), port);
    *far = NULL;
    while (!*far || !(*near)->open) {
        uint64_t now = go_there();
        if (!*far)
            *far = flow_accept();
        go_back();
        check(start, now);
    }
}

static struct outcome bulk(uint64_t duration) {
    static char source[CHUNK], sink[CHUNK];
    struct flow *near, *far;
    open_pair(PORT, &near, &far);
    uint64_t start = now_ns(), now = start, progress = start, count = 0;
    while (now < start + duration) {
        flow_write(near, source, sizeof source);
        now = go_there();
        for (long read; (read = flow_read(far, sink, sizeof sink)) > 0; progress = now)
            count += (uint64_t)read;
        go_back();
        check(progress, now);
    }
    return (struct outcome){"bytes", count, now - start, NULL};
}

static struct outcome request(uint64_t duration) {
    static struct latency latency;
    char message[MESSAGE] = {0}, buffer[MESSAGE];
    struct flow *near, *far;
    open_pair(PORT, &near, &far);
    uint64_t start = now_ns(), now = start, count = 0;
    while (now < start + duration) {
        uint64_t begun = now;
        size_t sent = 0, asked = 0, answered = 0, read = 0;
        while (read < MESSAGE) {
            if (sent < MESSAGE)
                sent += flow_write(near, message + sent, MESSAGE - sent);
            now = go_there();
            if (asked < MESSAGE)
                asked += (size_t)flow_read(far, buffer + asked, MESSAGE - asked);
            if (asked == MESSAGE && answered < MESSAGE)
                answered += flow_write(far, buffer + answered, MESSAGE - answered);
            go_back();
            read += (size_t)flow_read(near, buffer + read, MESSAGE - read);
            check(begun, now);
        }
        now = now_ns();
        latency_record(&latency, now - begun);
        count++;
    }
    return (struct outcome){"requests", count, now - start, &latency};
}

static struct outcome connect_each(uint64_t duration) {
    char message[MESSAGE] = {0}, buffer[MESSAGE];
    uint64_t start = now_ns(), now = start, count = 0;
    while (now < start + duration) {
        uint64_t begun = now;
        struct flow *near = flow_connect(&near_netif, netif_ip4_addr(&far_netif), PORT), *far = NULL;
        size_t sent = 0, asked = 0, read = 0;
        for (;;) {
            if (sent < MESSAGE)
                sent += flow_write(near, message + sent, MESSAGE - sent);
            now = go_there();
            if (!far && asked < MESSAGE)
                far = flow_accept();
            if (far) {
                asked += (size_t)flow_read(far, buffer + asked, MESSAGE - asked);
                if (asked == MESSAGE) {
                    if (flow_write(far, message, MESSAGE) != MESSAGE)
                        fail("a fresh connection takes less than a message");
                    flow_close(far);
                    far = NULL;
                }
            }
            go_back();
            long got = flow_read(near, buffer, MESSAGE);
            if (got == END)
                break;
            read += (size_t)got;
            check(begun, now);
        }
        if (read != MESSAGE)
            fail("%zu bytes of %d before the end", read, MESSAGE);
        flow_close(near);
        count++;
    }
    return (struct outcome){"connections", count, now - start, NULL};
}

struct outcome engine(enum load load, double seconds, size_t idle) {
    uint64_t duration = (uint64_t)(seconds * 1e9);
    if (idle > MOST_IDLE)
        fail("lwIP has ports for no more than %d connections", MOST_IDLE);
    add(&near_netif, &there, 1);
    add(&far_netif, &back, 2);
    flow_listen(&far_netif, PORT);
    flow_listen(&far_netif, IDLE_PORT);
    for (size_t number = 0; number < idle; number++) {
        struct flow *near, *far;
        open_pair(IDLE_PORT, &near, &far);
    }
    return load == CONNECT ? connect_each(duration) : load == REQUEST ? request(duration) : bulk(duration);
}
