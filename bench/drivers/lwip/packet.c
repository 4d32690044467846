/* An interface of lwIP's on a packet socket: many frames a system call, both ways.
 *
 * The kernel may hand over frames that it has not cut (up to 64 KiB) and whose checksum nobody has computed, because they
 * have never left the machine. lwIP takes the former. It verifies every checksum, though, and this lwIP was compiled
 * without the switch for that; so they are computed here, as a wire would ask for. What lwIP sends is complete. */
#include "packet.h"

#include "driver.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <lwip/etharp.h>
#include <lwip/inet_chksum.h>
#include <lwip/ip4_addr.h>
#include <lwip/timeouts.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* Frames a system call. */
#define BATCH 32
/* Room for an IP packet of 64 KiB and its link header. */
#define LARGEST (65535 + 18)

/* A received frame: a pbuf of ours, which comes back when lwIP has done with it. */
struct frame {
    struct pbuf_custom custom;
    struct frame *next_free;
    struct virtio_net_hdr header;
    char bytes[LARGEST];
};

static struct netif netif;
static int packet_socket = -1;
static struct frame *stock, *slots[BATCH];
static struct pbuf *outgoing[BATCH];
static unsigned waiting;

static void take_back(struct pbuf *pbuf) {
    struct frame *frame = (struct frame *)pbuf;
    frame->next_free = stock;
    stock = frame;
}

static struct frame *fresh(void) {
    struct frame *frame = stock;
    if (frame)
        stock = frame->next_free;
    else if (!(frame = malloc(sizeof *frame)))
        fail("no memory for a frame");
    frame->custom.custom_free_function = take_back;
    return frame;
}

void packet_flush(void) {
    static struct virtio_net_hdr plain;
    struct mmsghdr messages[BATCH];
    struct iovec vectors[BATCH][2];
    memset(messages, 0, sizeof messages);
    for (unsigned i = 0; i < waiting; i++) {
        vectors[i][0] = (struct iovec){&plain, sizeof plain};
        vectors[i][1] = (struct iovec){outgoing[i]->payload, outgoing[i]->len};
        messages[i].msg_hdr.msg_iov = vectors[i];
        messages[i].msg_hdr.msg_iovlen = 2;
    }
    for (unsigned sent = 0; sent < waiting;) {
        int count = sendmmsg(packet_socket, messages + sent, waiting - sent, 0);
        if (count > 0)
            sent += (unsigned)count;
        else if (errno == EAGAIN)
            poll(&(struct pollfd){packet_socket, POLLOUT, 0}, 1, -1);
        else if (errno == ENOBUFS)
            sent++;
        else if (errno != EINTR)
            fail("sending: %s", strerror(errno));
    }
    for (unsigned i = 0; i < waiting; i++)
        pbuf_free(outgoing[i]);
    waiting = 0;
}

static err_t link_output(struct netif *interface, struct pbuf *pbuf) {
    (void)interface;
    if (pbuf->next) {
        pbuf = pbuf_clone(PBUF_RAW, PBUF_RAM, pbuf);
        if (!pbuf)
            return ERR_MEM;
    } else {
        pbuf_ref(pbuf);
    }
    outgoing[waiting++] = pbuf;
    if (waiting == BATCH)
        packet_flush();
    return ERR_OK;
}

/* Computes the checksum that the sender has left to a device. */
static void complete(struct frame *frame, size_t len) {
    size_t start = frame->header.csum_start, field = start + frame->header.csum_offset;
    if (!(frame->header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) || field + 2 > len)
        return;
    u16_t sum = inet_chksum(frame->bytes + start, (u16_t)(len - start));
    memcpy(frame->bytes + field, &sum, 2);
}

bool packet_receive(void) {
    struct mmsghdr messages[BATCH];
    struct iovec vectors[BATCH][2];
    memset(messages, 0, sizeof messages);
    for (unsigned i = 0; i < BATCH; i++) {
        if (!slots[i])
            slots[i] = fresh();
        vectors[i][0] = (struct iovec){&slots[i]->header, sizeof slots[i]->header};
        vectors[i][1] = (struct iovec){slots[i]->bytes, LARGEST};
        messages[i].msg_hdr.msg_iov = vectors[i];
        messages[i].msg_hdr.msg_iovlen = 2;
    }
    int count = recvmmsg(packet_socket, messages, BATCH, MSG_DONTWAIT, NULL);
    if (count < 0 && errno != EAGAIN && errno != EINTR)
        fail("receiving: %s", strerror(errno));
    for (int i = 0; i < count; i++) {
        struct frame *frame = slots[i];
        size_t len = messages[i].msg_len - sizeof frame->header;
        /* A pbuf's length has 16 bits; and what is neither ours nor everybody's is the kernel's beside us. */
        bool ours = !memcmp(frame->bytes, netif.hwaddr, 6) || frame->bytes[0] & 1;
        if (len > 0xffff || !ours)
            continue;
        complete(frame, len);
        slots[i] = NULL;
        struct pbuf *pbuf =
            pbuf_alloced_custom(PBUF_RAW, (u16_t)len, PBUF_REF, &frame->custom, frame->bytes, 0xffff);
        if (netif.input(pbuf, &netif) != ERR_OK)
            pbuf_free(pbuf);
    }
    return count > 0;
}

void packet_wait(int milliseconds) {
    u32_t due = sys_timeouts_sleeptime();
    int limit = due < (u32_t)milliseconds ? (int)due : milliseconds;
    poll(&(struct pollfd){packet_socket, POLLIN, 0}, 1, limit);
}

static err_t set_up(struct netif *interface) {
    interface->name[0] = 'p';
    interface->name[1] = 'k';
    interface->hwaddr_len = ETH_HWADDR_LEN;
    interface->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET;
    interface->output = etharp_output;
    interface->linkoutput = link_output;
    return ERR_OK;
}

static void option(int name, int value) {
    if (setsockopt(packet_socket, SOL_PACKET, name, &value, sizeof value) < 0)
        fail("a packet socket: %s", strerror(errno));
}

struct netif *packet_open(const char *interface, const char *address, int prefix) {
    ip4_addr_t ip, mask, gateway;
    if (!ip4addr_aton(address, &ip))
        fail("%s: not an address", address);
    ip4_addr_set_u32(&mask, prefix ? htonl(~0u << (32 - prefix)) : 0);
    ip4_addr_set_zero(&gateway);

    packet_socket = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (packet_socket < 0)
        fail("a packet socket: %s", strerror(errno));
    unsigned index = if_nametoindex(interface);
    struct ifreq request = {0};
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", interface);
    if (!index || ioctl(packet_socket, SIOCGIFMTU, &request) < 0)
        fail("%s: %s", interface, strerror(errno));
    option(PACKET_VNET_HDR, 1);
    option(PACKET_IGNORE_OUTGOING, 1);
    for (int i = 0, size = 4 << 20; i < 2; i++)
        setsockopt(packet_socket, SOL_SOCKET, i ? SO_SNDBUFFORCE : SO_RCVBUFFORCE, &size, sizeof size);
    struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)index};
    if (bind(packet_socket, (struct sockaddr *)&at, sizeof at) < 0)
        fail("%s: %s", interface, strerror(errno));
    struct packet_mreq member = {.mr_ifindex = (int)index, .mr_type = PACKET_MR_PROMISC};
    if (setsockopt(packet_socket, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &member, sizeof member) < 0)
        fail("%s: %s", interface, strerror(errno));

    u32_t last = ip4_addr_get_u32(&ip);
    netif.hwaddr[0] = 0x02;
    netif.hwaddr[1] = 0x6c;
    memcpy(netif.hwaddr + 2, &last, 4);
    netif.mtu = (u16_t)request.ifr_mtu;
    if (!netif_add(&netif, &ip, &mask, &gateway, NULL, set_up, netif_input))
        fail("cannot add an interface");
    netif_set_default(&netif);
    netif_set_link_up(&netif);
    netif_set_up(&netif);
    return &netif;
}
