/* RFC 3542 with libc's own functions: `extension send ADDRESS PORT` sends datagrams with extension headers, sticky and ancillary, and tells
 * what its socket says of them; `extension receive PORT COUNT` tells all that came along with each datagram. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip6.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FLOWINFO 11

static void fail(const char *what) {
    perror(what);
    exit(1);
}

/* A header with one option of `len` bytes that begin with `value`, wherever its alignment wants it. */
static socklen_t build(uint8_t *header, uint8_t kind, uint32_t value, socklen_t len, uint8_t align) {
    void *data;
    int need = inet6_opt_init(NULL, 0);
    need = inet6_opt_append(NULL, 0, need, kind, len, align, NULL);
    need = inet6_opt_finish(NULL, 0, need);
    memset(header, 0, need);
    int at = inet6_opt_init(header, need);
    at = inet6_opt_append(header, need, at, kind, len, align, &data);
    if (at < 0 || inet6_opt_set_val(data, 0, &value, sizeof value) < 0) fail("append");
    if (inet6_opt_finish(header, need, at) != need) fail("finish");
    return need;
}

static void tell(const char *what, int result) {
    printf("%s %s\n", what, result < 0 ? strerrorname_np(errno) : "done");
}

static void ask(int s, const char *what, int name) {
    uint8_t bytes[2048];
    socklen_t len = sizeof bytes;
    if (getsockopt(s, IPPROTO_IPV6, name, bytes, &len) < 0) {
        tell(what, -1);
        return;
    }
    printf("%s reads", what);
    /* The first byte is whatever the last call left there. */
    for (socklen_t i = 1; i < len; i++) printf(" %02x", bytes[i]);
    printf("\n");
}

static void put(struct msghdr *m, struct cmsghdr **c, int name, const void *data, socklen_t len) {
    struct cmsghdr *at = *c;
    at->cmsg_level = IPPROTO_IPV6;
    at->cmsg_type = name;
    at->cmsg_len = CMSG_LEN(len);
    memcpy(CMSG_DATA(at), data, len);
    m->msg_controllen += CMSG_SPACE(len);
    *c = (struct cmsghdr *)((uint8_t *)at + CMSG_SPACE(len));
}

static int send_with(int s, const char *text, int name, const void *data, socklen_t len, int more) {
    uint64_t control[512] = {0};
    struct iovec piece = {(void *)text, strlen(text)};
    struct msghdr m = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = control};
    struct cmsghdr *c = (struct cmsghdr *)control;
    put(&m, &c, name, data, len);
    if (more) {
        int limit = 9, class = 0x48;
        uint32_t flow = htonl(0x54321);
        put(&m, &c, IPV6_HOPLIMIT, &limit, sizeof limit);
        put(&m, &c, IPV6_TCLASS, &class, sizeof class);
        put(&m, &c, FLOWINFO, &flow, sizeof flow);
    }
    return sendmsg(s, &m, 0);
}

static void sender(const char *address, int port) {
    uint8_t header[2048], wrong[2048];
    struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    inet_pton(AF_INET6, address, &to.sin6_addr);
    int s = socket(AF_INET6, SOCK_DGRAM, 0), off = 0;
    if (s < 0 || connect(s, (struct sockaddr *)&to, sizeof to) < 0) fail("connect");
    setsockopt(s, IPPROTO_IPV6, 70, &off, sizeof off);

    socklen_t len = build(header, 0x1e, htonl(0x11223344), 4, 4);
    tell("hop-by-hop", setsockopt(s, IPPROTO_IPV6, IPV6_HOPOPTS, header, len));
    ask(s, "hop-by-hop", IPV6_HOPOPTS);
    if (send(s, "hop", 3, 0) < 0) fail("send");
    len = build(header, 0x1e, htonl(0x55667788), 30, 2);
    tell("destination", setsockopt(s, IPPROTO_IPV6, IPV6_DSTOPTS, header, len));
    ask(s, "destination", IPV6_DSTOPTS);
    if (send(s, "both", 4, 0) < 0) fail("send");
    /* Options for stops go with a routing header only. */
    tell("stops", setsockopt(s, IPPROTO_IPV6, IPV6_RTHDRDSTOPTS, header, len));
    if (send(s, "stops", 5, 0) < 0) fail("send");
    static char large[3000];
    memset(large, 'x', sizeof large);
    if (send(s, large, sizeof large, 0) < 0) fail("send");

    /* Of another length than it says, not whole words, of type 0, of nobody's type. */
    memcpy(wrong, header, len);
    wrong[1]++;
    tell("short", setsockopt(s, IPPROTO_IPV6, IPV6_DSTOPTS, wrong, len));
    tell("odd", setsockopt(s, IPPROTO_IPV6, IPV6_DSTOPTS, header, 12));
    tell("tiny", setsockopt(s, IPPROTO_IPV6, IPV6_DSTOPTS, header, 1));
    struct in6_addr stop = in6addr_loopback;
    inet6_rth_init(wrong, sizeof wrong, IPV6_RTHDR_TYPE_0, 1);
    inet6_rth_add(wrong, &stop);
    tell("type 0", setsockopt(s, IPPROTO_IPV6, IPV6_RTHDR, wrong, inet6_rth_space(IPV6_RTHDR_TYPE_0, 1)));
    wrong[2] = 77;
    tell("type 77", setsockopt(s, IPPROTO_IPV6, IPV6_RTHDR, wrong, inet6_rth_space(IPV6_RTHDR_TYPE_0, 1)));
    ask(s, "routing", IPV6_RTHDR);
    tell("attached type 0", send_with(s, "never", IPV6_RTHDR, wrong, inet6_rth_space(IPV6_RTHDR_TYPE_0, 1), 0));
    tell("attached short", send_with(s, "never", IPV6_HOPOPTS, header, 8, 0));
    int wide = 256;
    tell("attached wide", send_with(s, "never", IPV6_HOPLIMIT, &wide, sizeof wide, 0));
    tell("attached unknown", send_with(s, "never", 99, &wide, sizeof wide, 0));

    /* What is attached replaces all that is sticky. */
    len = build(header, 0x1e, htonl(0x99aabbcc), 7, 1);
    if (send_with(s, "attached", IPV6_DSTOPTS, header, len, 1) < 0) fail("sendmsg");
    int names[] = {IPV6_HOPOPTS, IPV6_DSTOPTS, IPV6_RTHDRDSTOPTS};
    for (int i = 0; i < 3; i++)
        if (setsockopt(s, IPPROTO_IPV6, names[i], NULL, 0) < 0) fail("clear");
    ask(s, "cleared", IPV6_HOPOPTS);
    if (send(s, "plain", 5, 0) < 0) fail("send");
    for (int i = 0; i < 3; i++)
        if (seteuid(65534) < 0 || setsockopt(s, IPPROTO_IPV6, names[i], header, len) == 0 || errno != EPERM) fail("EPERM");
    puts("end");
}

static void options(const char *what, uint8_t *header, socklen_t len) {
    int at = 0;
    uint8_t kind;
    socklen_t count;
    void *data;
    printf(" %s:%u", what, len);
    while ((at = inet6_opt_next(header, len, at, &kind, &count, &data)) >= 0) {
        uint32_t value;
        inet6_opt_get_val(data, 0, &value, sizeof value);
        printf("(%02x %u %08x)", kind, count, ntohl(value));
    }
}

static void receiver(int port, int count) {
    struct sockaddr_in6 own = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    int s = socket(AF_INET6, SOCK_DGRAM, 0), on = 1;
    int names[] = {IPV6_RECVHOPOPTS, IPV6_RECVDSTOPTS, IPV6_RECVRTHDR, IPV6_RECVHOPLIMIT, IPV6_RECVTCLASS, FLOWINFO,
                   3 /* IPV6_2292HOPOPTS */, 8 /* IPV6_2292HOPLIMIT */};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (setsockopt(s, IPPROTO_IPV6, names[i], &on, sizeof on) < 0) fail("setsockopt");
    if (bind(s, (struct sockaddr *)&own, sizeof own) < 0) fail("bind");
    puts("ready");
    fflush(stdout);
    while (count-- > 0) {
        static char data[4000];
        uint64_t control[512];
        struct iovec piece = {data, sizeof data};
        struct msghdr m = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
        ssize_t len = recvmsg(s, &m, 0);
        if (len < 0) fail("recvmsg");
        printf("came %zd %.*s flags %d", len, len < 100 ? (int)len : 1, data, m.msg_flags);
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
            uint8_t *bytes = CMSG_DATA(c);
            socklen_t size = c->cmsg_len - CMSG_LEN(0);
            uint32_t value;
            memcpy(&value, bytes, sizeof value);
            switch (c->cmsg_type) {
            case IPV6_HOPOPTS: options("hop-by-hop", bytes, size); break;
            case 3: options("old-hop-by-hop", bytes, size); break;
            case IPV6_DSTOPTS: options("destination", bytes, size); break;
            case FLOWINFO: printf(" flow:%08x", ntohl(value)); break;
            default: printf(" %d:%u", c->cmsg_type, value); break;
            }
        }
        puts("");
    }
}

int main(int argc, char **argv) {
    if (argc == 4 && !strcmp(argv[1], "send")) sender(argv[2], atoi(argv[3]));
    else if (argc == 4 && !strcmp(argv[1], "receive")) receiver(atoi(argv[2]), atoi(argv[3]));
    else return 2;
}
