/* What interpreters do not show: calls with fortified names, many messages at once, signals that restart, threads that are cancelled, vfork. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static struct sockaddr_in address(int port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return a;
}

static void must(int ok, const char *what) {
    if (!ok) { printf("%s: %s\n", what, strerror(errno)); exit(1); }
}

static int bound(int kind, int port) {
    struct sockaddr_in a = address(port);
    int fd = socket(AF_INET, kind, 0);
    must(fd >= 0, "socket");
    must(bind(fd, (void *)&a, sizeof a) == 0, "bind");
    return fd;
}

/* The compiler cannot know the length, so it calls the checking functions. */
static volatile size_t unknown = 10;

static void fortified(void) {
    int fd = bound(SOCK_DGRAM, 7900), other = bound(SOCK_DGRAM, 7901);
    struct sockaddr_in to = address(7900), from;
    char buffer[16];
    for (int i = 0; i < 3; i++)
        must(sendto(other, "fortified", 9, 0, (void *)&to, sizeof to) == 9, "sendto");
    printf("read %zd", read(fd, buffer, unknown));
    printf(" %.9s\n", buffer);
    printf("recv %zd\n", recv(fd, buffer, unknown, 0));
    socklen_t len = sizeof from;
    printf("recvfrom %zd", recvfrom(fd, buffer, unknown, 0, (void *)&from, &len));
    printf(" %d %u\n", ntohs(from.sin_port), len);
    close(fd);
    close(other);
}

static void many(void) {
    int fd = bound(SOCK_DGRAM, 7902), other = bound(SOCK_DGRAM, 7903);
    struct sockaddr_in to = address(7902), from[8];
    char text[5][8], buffers[8][8];
    struct iovec out[5], in[8];
    struct mmsghdr sent[5] = {0}, received[8] = {0};
    for (int i = 0; i < 5; i++) {
        out[i] = (struct iovec){text[i], snprintf(text[i], 8, "%.*s", i + 1, "abcde")};
        sent[i].msg_hdr = (struct msghdr){.msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &out[i], .msg_iovlen = 1};
    }
    for (int i = 0; i < 8; i++) {
        in[i] = (struct iovec){buffers[i], 3};
        received[i].msg_hdr = (struct msghdr){.msg_name = &from[i], .msg_namelen = sizeof from[i], .msg_iov = &in[i], .msg_iovlen = 1};
    }
    printf("sendmmsg %d\n", sendmmsg(other, sent, 5, 0));
    printf("lengths %u %u %u\n", sent[0].msg_len, sent[2].msg_len, sent[4].msg_len);
    /* All five are there. */
    for (int total = 0; total < 5;) {
        struct timespec limit = {10, 0};
        int got = recvmmsg(fd, received + total, 8 - total, MSG_WAITFORONE, &limit);
        must(got > 0, "recvmmsg");
        total += got;
    }
    for (int i = 0; i < 5; i++)
        printf("message %u %.*s %d %d\n", received[i].msg_len, (int)received[i].msg_len, buffers[i],
               received[i].msg_hdr.msg_flags & MSG_TRUNC, ntohs(from[i].sin_port));
    printf("nothing %d %d\n", recvmmsg(fd, received, 8, MSG_DONTWAIT, NULL), errno == EAGAIN);
    close(fd);
    close(other);
}

/* By their numbers, as libuv does. */
static void direct(void) {
    struct sockaddr_in to = address(7911), from;
    socklen_t len = sizeof from;
    int fd = syscall(SYS_socket, AF_INET, SOCK_DGRAM, 0), other = bound(SOCK_DGRAM, 7912);
    must(fd >= 0 && syscall(SYS_bind, fd, &to, sizeof to) == 0, "bind");
    char buffer[16] = "direct";
    struct iovec piece = {buffer, 6};
    struct mmsghdr message = {.msg_hdr = {.msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &piece, .msg_iovlen = 1}};
    printf("direct %ld", syscall(SYS_sendmmsg, other, &message, 1, 0));
    must(syscall(SYS_sendto, other, "more", 4, 0, &to, sizeof to) == 4, "sendto");
    message.msg_hdr.msg_name = &from;
    piece.iov_len = sizeof buffer;
    printf(" %ld", syscall(SYS_recvmmsg, fd, &message, 1, 0, NULL));
    printf(" %u %.6s %d", message.msg_len, buffer, ntohs(from.sin_port));
    printf(" %ld", syscall(SYS_recvfrom, fd, buffer, sizeof buffer, 0, &from, &len));
    printf(" %.4s %d %u\n", buffer, ntohs(from.sin_port), len);
    printf("nothing %ld %d\n", syscall(SYS_recvfrom, fd, buffer, sizeof buffer, MSG_DONTWAIT, NULL, NULL), errno == EAGAIN);
    close(fd);
    close(other);
}

static volatile sig_atomic_t alarms;
static int pipe_to_parent[2];
static void on_alarm(int signal) {
    (void)signal;
    alarms++;
    /* From a handler, in the middle of connect: a whole exchange of its own. */
    int saved = errno;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a;
    socklen_t len = sizeof a;
    if (fd >= 0 && getsockname(fd, (void *)&a, &len) == 0) close(fd);
    (void)!write(pipe_to_parent[1], "x", 1);
    errno = saved;
}

/* connect waits for room in the backlog; a signal comes; a child makes room once the handler has run. */
static void interrupted(int restart) {
    int port = 7904 + restart;
    int listener = bound(SOCK_STREAM, port);
    must(listen(listener, 0) == 0, "listen");
    struct sockaddr_in a = address(port);
    int first = socket(AF_INET, SOCK_STREAM, 0);
    must(connect(first, (void *)&a, sizeof a) == 0, "connect");
    must(pipe(pipe_to_parent) == 0, "pipe");
    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = restart ? SA_RESTART : 0};
    sigaction(SIGALRM, &action, NULL);
    pid_t child = fork();
    if (child == 0) {
        char byte;
        signal(SIGALRM, SIG_DFL);
        (void)!read(pipe_to_parent[0], &byte, 1);
        close(accept(listener, NULL, NULL));
        close(accept(listener, NULL, NULL));
        _exit(0);
    }
    int second = socket(AF_INET, SOCK_STREAM, 0);
    alarms = 0;
    struct itimerval timer = {.it_value = {0, 30000}};
    setitimer(ITIMER_REAL, &timer, NULL);
    errno = 0;
    int result = connect(second, (void *)&a, sizeof a);
    printf("restart %d: %d %s, alarms %d\n", restart, result, result ? strerror(errno) : "connected", alarms);
    if (result) {
        /* It goes on; a second call waits for it. */
        result = connect(second, (void *)&a, sizeof a);
        printf("again: %d %s\n", result, result ? strerror(errno) : "connected");
    }
    /* The timer was also the one that ends a program that hangs. */
    signal(SIGALRM, SIG_DFL);
    alarm(60);
    waitpid(child, NULL, 0);
    close(first); close(second); close(listener); close(pipe_to_parent[0]); close(pipe_to_parent[1]);
}

static void *accepts(void *listener) {
    return (void *)(long)accept(*(int *)listener, NULL, NULL);
}
static void *receives(void *socket) {
    char buffer[10];
    return (void *)recv(*(int *)socket, buffer, sizeof buffer, 0);
}

static void cancelled(void) {
    int listener = bound(SOCK_STREAM, 7906), udp = bound(SOCK_DGRAM, 7907);
    must(listen(listener, 5) == 0, "listen");
    pthread_t thread;
    void *result;
    pthread_create(&thread, NULL, accepts, &listener);
    pthread_cancel(thread);
    pthread_join(thread, &result);
    printf("accept cancelled %d\n", result == PTHREAD_CANCELED);
    pthread_create(&thread, NULL, receives, &udp);
    pthread_cancel(thread);
    pthread_join(thread, &result);
    printf("recv cancelled %d\n", result == PTHREAD_CANCELED);
    close(listener);
    close(udp);
}

static void spawned(void) {
    int listener = bound(SOCK_STREAM, 7908);
    must(listen(listener, 5) == 0, "listen");
    struct sockaddr_in a = address(7908);
    /* A call in the child of vfork, which has the parent's memory. */
    int result = 0;
    pid_t child = vfork();
    if (child == 0) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        result = fd < 0 ? 100 : connect(fd, (void *)&a, sizeof a);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    int fd = accept(listener, NULL, NULL);
    char byte;
    printf("vfork %d, end %zd\n", result, read(fd, &byte, 1));
    close(fd);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    must(connect(fd, (void *)&a, sizeof a) == 0, "connect");
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fd, 1);
    char *argv[] = {"echo", "spawned", NULL};
    must(posix_spawnp(&child, "echo", &actions, NULL, argv, environ) == 0, "posix_spawn");
    waitpid(child, NULL, 0);
    close(fd);
    fd = accept(listener, NULL, NULL);
    FILE *stream = fdopen(fd, "r");
    char line[20];
    printf("echo %s", fgets(line, sizeof line, stream));
    printf("end %d %d\n", fgetc(stream), feof(stream) != 0);
    fclose(stream);
    close(listener);
}

static void on_pipe(int signal) { (void)signal; alarms++; }

/* SIGPIPE comes after what the reset has to say, and not with MSG_NOSIGNAL. */
static void broken(void) {
    int listener = bound(SOCK_STREAM, 7909);
    must(listen(listener, 5) == 0, "listen");
    struct sockaddr_in a = address(7909);
    int client = socket(AF_INET, SOCK_STREAM, 0);
    must(connect(client, (void *)&a, sizeof a) == 0, "connect");
    int server = accept(listener, NULL, NULL);
    struct linger linger = {1, 0};
    setsockopt(server, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(server);
    struct pollfd p = {client, POLLIN, 0};
    poll(&p, 1, -1);
    signal(SIGPIPE, on_pipe);
    alarms = 0;
    int flags[] = {0, MSG_NOSIGNAL, 0};
    for (int i = 0; i < 3; i++) {
        ssize_t sent = send(client, "x", 1, flags[i]);
        printf("send %zd %s, signals %d\n", sent, strerror(errno), alarms);
    }
    close(client);
    /* After one's own shutdown. */
    client = socket(AF_INET, SOCK_STREAM, 0);
    must(connect(client, (void *)&a, sizeof a) == 0, "connect");
    shutdown(client, SHUT_WR);
    ssize_t sent = send(client, "x", 1, 0);
    printf("shut %zd %s, signals %d\n", sent, strerror(errno), alarms);
    sent = write(client, "x", 1);
    printf("shut %zd %s, signals %d\n", sent, strerror(errno), alarms);
    close(client);
    close(listener);
}

/* A child that gave up all calls but the plainest, as sshd's does, reads and writes its connection, and meets its end. */
static void locked_in(void) {
    int listener = bound(SOCK_STREAM, 7913);
    must(listen(listener, 5) == 0, "listen");
    struct sockaddr_in a = address(7913);
    int client = socket(AF_INET, SOCK_STREAM, 0), spare = socket(AF_INET, SOCK_STREAM, 0);
    must(connect(client, (void *)&a, sizeof a) == 0, "connect");
    int server = accept(listener, NULL, NULL);
    pid_t child = fork();
    if (child == 0) {
        close(client);
        struct sock_filter list[] = {
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_read, 3, 0),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_write, 2, 0),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 1, 0),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        struct sock_fprog program = {sizeof list / sizeof *list, list};
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        must(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0, "seccomp");
        char buffer[8];
        for (ssize_t got; (got = read(server, buffer, sizeof buffer)) > 0;)
            if (write(server, buffer, got) != got) _exit(1);
        _exit(42);
    }
    close(server);
    char buffer[8] = "";
    ssize_t sent = send(client, "locked", 6, 0), got = recv(client, buffer, 6, MSG_WAITALL);
    printf("locked in %zd %zd %s\n", sent, got, buffer);
    shutdown(client, SHUT_WR);
    int status;
    must(waitpid(child, &status, 0) == child, "waitpid");
    printf("exited %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
    close(client);
    close(spare);
    close(listener);
}

/* What is left is what datagrams need; it had its sockets before. */
static void locked_in_with_datagrams(void) {
    int server = bound(SOCK_DGRAM, 7920), client = bound(SOCK_DGRAM, 7921);
    pid_t child = fork();
    if (child == 0) {
        struct sock_filter list[] = {
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_recvfrom, 5, 0),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_recvmsg, 4, 0),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sendto, 3, 0),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sendmsg, 2, 0),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 1, 0),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        struct sock_fprog program = {sizeof list / sizeof *list, list};
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        must(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0, "seccomp");
        char buffer[16];
        struct sockaddr_in from;
        for (;;) {
            struct iovec piece = {buffer, sizeof buffer};
            struct msghdr message = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &piece, .msg_iovlen = 1};
            ssize_t got = recvmsg(server, &message, 0);
            if (got == 0) _exit(42);
            if (got < 0 || sendto(server, buffer, got, 0, (void *)&from, message.msg_namelen) != got) _exit(1);
        }
    }
    close(server);
    struct sockaddr_in to = address(7920), from;
    socklen_t len = sizeof from;
    char buffer[16] = "";
    for (int i = 0; i < 3; i++) {
        ssize_t sent = sendto(client, "locked in", 9 - i, 0, (void *)&to, sizeof to);
        ssize_t got = recvfrom(client, buffer, sizeof buffer, 0, (void *)&from, &len);
        printf("%zd %zd %d\n", sent, got, ntohs(from.sin_port));
    }
    sendto(client, "", 0, 0, (void *)&to, sizeof to);
    int status;
    must(waitpid(child, &status, 0) == child, "waitpid");
    printf("exited %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
    close(client);
}

/* What matters is left: a reset is told, and sockets can be made. */
static void locked_in_loosely(void) {
    int listener = bound(SOCK_STREAM, 7922), client = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = address(7922);
    listen(listener, 1);
    must(connect(client, (void *)&a, sizeof a) == 0, "connect");
    int server = accept(listener, NULL, NULL);
    pid_t child = fork();
    if (child == 0) {
        close(client);
        struct sock_filter list[] = {
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ptrace, 0, 1),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        struct sock_fprog program = {sizeof list / sizeof *list, list};
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        must(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0, "seccomp");
        close(bound(SOCK_DGRAM, 7923));
        char byte;
        _exit(read(server, &byte, 1) == -1 ? errno : 0);
    }
    close(server);
    struct linger reset = {1, 0};
    setsockopt(client, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(client);
    int status;
    must(waitpid(child, &status, 0) == child, "waitpid");
    printf("%s\n", WIFEXITED(status) ? strerror(WEXITSTATUS(status)) : "killed");
    close(listener);
}

int main(void) {
    setvbuf(stdout, NULL, _IONBF, 0);
    errno = 4242;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int value;
    socklen_t len = sizeof value;
    getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &len);
    struct sockaddr_in a = address(7910);
    bind(fd, (void *)&a, sizeof a);
    len = sizeof a;
    getsockname(fd, (void *)&a, &len);
    listen(fd, 1);
    close(fd);
    printf("errno stays %d\n", errno);
    fortified();
    many();
    direct();
    interrupted(0);
    interrupted(1);
    cancelled();
    spawned();
    broken();
    locked_in();
    locked_in_with_datagrams();
    locked_in_loosely();
    puts("done");
    return 0;
}
