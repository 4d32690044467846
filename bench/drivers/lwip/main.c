/* The command line, which is that of every driver:
 *
 *   lwip-driver engine bulk|request|connect SECONDS [IDLE]
 *   lwip-driver -i IFACE -a ADDR/LEN send|receive ADDR:PORT SECONDS [FLOWS]
 *                                    request ADDR:PORT SIZE SECONDS
 *                                    connect ADDR:PORT SECONDS
 */
#include "driver.h"

#include <inttypes.h>
#include <lwip/init.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void latency_record(struct latency *latency, uint64_t value) {
    unsigned bits = value ? 64 - (unsigned)__builtin_clzll(value) : 0;
    unsigned magnitude = bits > 8 ? bits - 8 : 0;
    latency->columns[(magnitude << 7) + (value >> magnitude)]++;
    latency->count++;
}

/* The time within which this part of all lies. */
static uint64_t quantile(const struct latency *latency, double part) {
    uint64_t rank = (uint64_t)((double)latency->count * part + 0.999999), seen = 0;
    for (unsigned column = 0; column < 64 << 7; column++) {
        seen += latency->columns[column];
        if (seen && seen >= rank) {
            unsigned magnitude = column >> 7 ? (column >> 7) - 1 : 0;
            uint64_t bits = column - (magnitude << 7);
            return (bits << magnitude) + ((1ull << magnitude) >> 1);
        }
    }
    return 0;
}

static char **words;

static char *next(const char *what) {
    if (!*words)
        fail("%s is missing", what);
    return *words++;
}

static double number(const char *what) {
    char *word = next(what), *end;
    double value = strtod(word, &end);
    if (end == word || *end || !(value >= 0 && value < 1e9))
        fail("%s: not %s", word, what);
    return value;
}

static double optional(const char *what, double otherwise) {
    return *words ? number(what) : otherwise;
}

/* Cuts a word at its last `at`, and reads the number behind. */
static long split(char *word, char at, long most) {
    char *place = strrchr(word, at), *end;
    long value = place ? strtol(place + 1, &end, 10) : -1;
    if (!place || !place[1] || *end || value < 0 || value > most)
        fail("%s: not ADDR%cNUMBER", word, at);
    *place = 0;
    return value;
}

static void nothing_left(void) {
    if (*words)
        fail("%s: one word too many", *words);
}

static struct outcome run(void) {
    char *interface = NULL, *address = NULL, *verb;
    for (verb = next("a verb"); verb[0] == '-'; verb = next("a verb")) {
        if (!strcmp(verb, "-i"))
            interface = next("an interface");
        else if (!strcmp(verb, "-a"))
            address = next("ADDR/LEN");
        else
            fail("%s: not understood; segments and checksums are as this lwIP was compiled", verb);
    }
    if (!strcmp(verb, "engine")) {
        char *what = next("a load");
        enum load load = !strcmp(what, "bulk")      ? BULK_SEND
                         : !strcmp(what, "request") ? REQUEST
                         : !strcmp(what, "connect") ? CONNECT
                                                    : (fail("%s: not a load", what), CONNECT);
        double seconds = number("a number of seconds");
        size_t idle = (size_t)optional("a number of connections", 0);
        nothing_left();
        return engine(load, seconds, idle);
    }
    enum load load = !strcmp(verb, "send")      ? BULK_SEND
                     : !strcmp(verb, "receive") ? BULK_RECEIVE
                     : !strcmp(verb, "request") ? REQUEST
                     : !strcmp(verb, "connect") ? CONNECT
                                                : (fail("%s: not a verb", verb), CONNECT);
    if (!interface || !address)
        fail("-i IFACE and -a ADDR/LEN are missing");
    char *peer = next("ADDR:PORT");
    long port = split(peer, ':', 65535), prefix = split(address, '/', 32);
    size_t size = load == REQUEST ? (size_t)number("a size") : MESSAGE;
    double seconds = number("a number of seconds");
    size_t flows = load == BULK_SEND || load == BULK_RECEIVE ? (size_t)optional("a number of flows", 1) : 1;
    nothing_left();
    return wire(interface, address, (int)prefix, load, peer, (uint16_t)port, size, flows, seconds);
}

int main(int count, char **arguments) {
    (void)count;
    words = arguments + 1;
    /* No thread of lwIP's own: all is called from here, which is what it is fastest at. */
    srand((unsigned)now_ns());
    lwip_init();
    struct outcome outcome = run();
    printf("{\"unit\":\"%s\",\"count\":%" PRIu64 ",\"seconds\":%.6f", outcome.unit, outcome.count,
           (double)outcome.nanoseconds / 1e9);
    if (outcome.latency)
        printf(",\"latency_ns\":{\"p50\":%" PRIu64 ",\"p99\":%" PRIu64 ",\"p999\":%" PRIu64 "}",
               quantile(outcome.latency, 0.5), quantile(outcome.latency, 0.99), quantile(outcome.latency, 0.999));
    puts("}");
    return 0;
}
