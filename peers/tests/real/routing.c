/* Routing headers by libc's inet6_rth_* (RFC 3542, 7): `routing send TO STOP PORT` makes some, sends what may be sent, and tells what its socket says of
 * them. `routing raw TO PORT` sends datagrams behind headers that are at their end; `routing receive PORT COUNT` tells what came along with each. */
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

#define MOBILE 2
#define SEGMENTS 4

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static struct sockaddr_in6 at(const char *address, int port) {
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    if (inet_pton(AF_INET6, address, &a.sin6_addr) != 1) fail(address);
    return a;
}

/* A list of `count` stops, the first of them given, in libc's own form: type 0. */
static socklen_t list(uint8_t *header, const char *first, int count) {
    struct sockaddr_in6 stop = at(first, 0);
    socklen_t len = inet6_rth_space(IPV6_RTHDR_TYPE_0, count);
    if (!inet6_rth_init(header, len, IPV6_RTHDR_TYPE_0, count)) fail("init");
    for (int i = 0; i < count; i++, stop.sin6_addr.s6_addr[15]++)
        if (inet6_rth_add(header, &stop.sin6_addr) < 0) fail("add");
    return len;
}

static void show(const void *header, socklen_t len) {
    const struct ip6_rthdr *rth = header;
    int count = inet6_rth_segments(header);
    printf(" type %u left %u of %d in %u:", rth->ip6r_type, rth->ip6r_segleft, count, len);
    for (int i = 0; i < count; i++) {
        char text[INET6_ADDRSTRLEN];
        printf(" %s", inet_ntop(AF_INET6, inet6_rth_getaddr(header, i), text, sizeof text));
    }
    printf("%s", inet6_rth_getaddr(header, count) ? " and more" : "");
}

static void told(const char *what, int result) {
    printf("%s %s\n", what, result < 0 ? strerrorname_np(errno) : "done");
}

static int set(int s, const void *header, socklen_t len) {
    return setsockopt(s, IPPROTO_IPV6, IPV6_RTHDR, header, len);
}

static int send_by(int s, const struct sockaddr_in6 *to, const char *text, const void *header, socklen_t len) {
    uint64_t control[64] = {0};
    struct iovec piece = {(void *)text, strlen(text)};
    struct msghdr m = {.msg_name = (void *)to, .msg_namelen = sizeof *to, .msg_iov = &piece, .msg_iovlen = 1};
    if (len) {
        m.msg_control = control;
        m.msg_controllen = CMSG_SPACE(len);
        *(struct cmsghdr *)control = (struct cmsghdr){.cmsg_level = IPPROTO_IPV6, .cmsg_type = IPV6_RTHDR, .cmsg_len = CMSG_LEN(len)};
        memcpy(CMSG_DATA((struct cmsghdr *)control), header, len);
    }
    return sendmsg(s, &m, 0);
}

static void sender(const char *address, const char *stop, int port) {
    uint8_t header[256], back[256];
    struct sockaddr_in6 to = at(address, port);
    int s = socket(AF_INET6, SOCK_DGRAM, 0);
    /* What libc makes, reads and turns round. */
    socklen_t len = list(header, stop, 3), one;
    printf("made");
    show(header, len);
    ((struct ip6_rthdr *)header)->ip6r_segleft = 0;
    if (inet6_rth_reverse(header, back) < 0) fail("reverse");
    printf("\nreversed");
    show(back, len);
    printf("\nspace %u, full %d\n", inet6_rth_space(IPV6_RTHDR_TYPE_0, 128), inet6_rth_add(back, &to.sin6_addr));

    one = list(header, stop, 1);
    told("sticky type 0", set(s, header, one));
    told("attached type 0", send_by(s, &to, "never", header, one));
    header[2] = MOBILE;
    told("sticky type 2", set(s, header, one));
    uint8_t read[256];
    socklen_t size = sizeof read;
    if (getsockopt(s, IPPROTO_IPV6, IPV6_RTHDR, read, &size) < 0) fail("getsockopt");
    /* The first byte is whatever the last call left there. */
    printf("reads %u %s\n", size, size == one && !memcmp(read + 1, header + 1, size - 1) ? "the same" : "something else");
    told("sent sticky", send_by(s, &to, "sticky", 0, 0));
    told("cleared", set(s, NULL, 0));
    told("sent attached", send_by(s, &to, "attached", header, one));
    header[3] = 0;
    told("type 2 at its end", set(s, header, one));
    told("attached at its end", send_by(s, &to, "never", header, one));
    header[3] = 2;
    told("type 2 beyond its end", set(s, header, one));
    len = list(header, stop, 2);
    header[2] = MOBILE;
    told("type 2 with two", set(s, header, len));
    told("attached with two", send_by(s, &to, "never", header, len));
    /* Segments (RFC 8754) are written from the last to the first; the last is the destination's place. */
    struct sockaddr_in6 first = at(stop, 0), second = at("2001:db8::2", 0);
    uint8_t segments[8 + 48] = {0, 6, SEGMENTS, 2, 2, 0, 0, 0};
    memcpy(segments + 24, &second.sin6_addr, 16);
    memcpy(segments + 40, &first.sin6_addr, 16);
    told("attached type 4", send_by(s, &to, "never", segments, sizeof segments));
    told("sticky type 4", set(s, segments, sizeof segments));
    told("sent segments", send_by(s, &to, "segments", 0, 0));
    segments[3] = 3;
    told("type 4 beyond its end", set(s, segments, sizeof segments));
    told("short type 4", set(s, segments, 40));
}

static uint16_t sum(const struct in6_addr *source, const struct in6_addr *to, const uint8_t *bytes, size_t len) {
    uint32_t total = len + IPPROTO_UDP;
    for (int i = 0; i < 16; i += 2)
        total += (source->s6_addr[i] + to->s6_addr[i]) << 8, total += source->s6_addr[i + 1] + to->s6_addr[i + 1];
    for (size_t i = 0; i < len; i++) total += i % 2 ? bytes[i] : bytes[i] << 8;
    while (total >> 16) total = (total & 0xffff) + (total >> 16);
    return htons(~total);
}

static void raw(const char *own, const char *address, int port) {
    struct sockaddr_in6 from = at(own, 0), to = at(address, 0);
    int s = socket(AF_INET6, SOCK_RAW, IPPROTO_ROUTING);
    if (s < 0 || bind(s, (struct sockaddr *)&from, sizeof from) < 0) fail("raw");
    for (int count = 1; count <= 3; count++) {
        uint8_t packet[256] = {0};
        socklen_t len = list(packet, "2001:db8::1", count);
        packet[0] = IPPROTO_UDP;
        /* The last one is of nobody's type. */
        if (count == 3) packet[2] = 77;
        packet[3] = 0;
        uint16_t upper[] = {htons(9), htons(port), htons(12), 0};
        memcpy(packet + len, upper, 8);
        memcpy(packet + len + 8, "data", 4);
        uint16_t checksum = sum(&from.sin6_addr, &to.sin6_addr, packet + len, 12);
        memcpy(packet + len + 6, &checksum, 2);
        if (sendto(s, packet, len + 12, 0, (struct sockaddr *)&to, sizeof to) < 0) fail("sendto");
    }
}

static void receiver(int port, int count) {
    struct sockaddr_in6 own = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    int s = socket(AF_INET6, SOCK_DGRAM, 0), on = 1;
    if (setsockopt(s, IPPROTO_IPV6, IPV6_RECVRTHDR, &on, sizeof on) < 0 || bind(s, (struct sockaddr *)&own, sizeof own) < 0) fail("bind");
    puts("ready");
    fflush(stdout);
    while (count-- > 0) {
        char data[100];
        uint64_t control[64];
        struct iovec piece = {data, sizeof data};
        struct msghdr m = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
        ssize_t len = recvmsg(s, &m, 0);
        if (len < 0) fail("recvmsg");
        printf("came %.*s", (int)len, data);
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
            if (c->cmsg_level != IPPROTO_IPV6 || c->cmsg_type != IPV6_RTHDR) continue;
            uint8_t back[256];
            show(CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
            if (inet6_rth_reverse(CMSG_DATA(c), back) == 0) {
                printf(", reversed");
                show(back, c->cmsg_len - CMSG_LEN(0));
            }
        }
        puts("");
    }
}

int main(int argc, char **argv) {
    if (argc == 5 && !strcmp(argv[1], "send")) sender(argv[2], argv[3], atoi(argv[4]));
    else if (argc == 5 && !strcmp(argv[1], "raw")) raw(argv[2], argv[3], atoi(argv[4]));
    else if (argc == 4 && !strcmp(argv[1], "receive")) receiver(atoi(argv[2]), atoi(argv[3]));
    else return 2;
}
