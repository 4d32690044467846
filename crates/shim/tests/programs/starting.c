// Whatever starts a program, with whatever environment, the program is where this one is: it reaches its own listener on the loopback.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static char own[4096];

// What has been started.
static int started(int argc, char **argv) {
    int others = 0, sum = 0;
    for (char **variable = environ; *variable; variable++)
        others += strncmp(*variable, "LD_PRELOAD=", 11) && strncmp(*variable, "SOCKEYE_CONTROL=", 16);
    for (int at = 2; at < argc; at++)
        sum += atoi(argv[at]);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0), stream = socket(AF_INET, SOCK_STREAM, 0);
    int reached = !bind(listener, (struct sockaddr *)&address, len) && !listen(listener, 1) &&
                  !getsockname(listener, (struct sockaddr *)&address, &len) &&
                  !connect(stream, (struct sockaddr *)&address, len);
    printf("%s: %d arguments, sum %d, %d variables, %s\n", argv[0], argc, sum, others, reached ? "reached" : strerror(errno));
    return 0;
}

static void end_of(pid_t pid, const char *what) {
    int status;
    if (waitpid(pid, &status, 0) != pid || status)
        printf("%s ended with %x\n", what, status);
}

// A start that fails comes back, and says why.
#define FAILS(call) (errno = 0, printf("%s: %d ", #call, (int)(call)), printf("%s\n", strerror(errno)))

#define WITHIN(make, what, ...)                                                                                        \
    do {                                                                                                               \
        fflush(stdout);                                                                                                \
        pid_t child = make();                                                                                          \
        if (child == 0) {                                                                                              \
            __VA_ARGS__;                                                                                               \
            _exit(1);                                                                                                  \
        }                                                                                                              \
        end_of(child, what);                                                                                           \
    } while (0)

static void each_way(char **none) {
    char *two[] = {"A=1", "B=2", NULL};
    char *arguments[] = {"name", "started", "1", NULL};
    char name[] = "starting";
    int file = open(own, O_RDONLY | O_CLOEXEC);
    pid_t child;
    WITHIN(fork, "execve", arguments[0] = "execve", execve(own, arguments, two));
    WITHIN(vfork, "execve", arguments[0] = "execve after vfork", execve(own, arguments, none));
    WITHIN(fork, "execve", arguments[0] = "execve with no environment", execve(own, arguments, NULL));
    WITHIN(fork, "execvpe", arguments[0] = "execvpe", execvpe(name, arguments, two));
    WITHIN(vfork, "execvpe", arguments[0] = "execvpe by path", execvpe(own, arguments, none));
    WITHIN(fork, "fexecve", arguments[0] = "fexecve", fexecve(file, arguments, two));
    WITHIN(fork, "execveat", arguments[0] = "execveat", execveat(file, "", arguments, none, AT_EMPTY_PATH));
    WITHIN(fork, "execveat", arguments[0] = "execveat by path", execveat(AT_FDCWD, own, arguments, none, 0));
    WITHIN(fork, "syscall", arguments[0] = "syscall", syscall(SYS_execve, own, arguments, none));
    WITHIN(fork, "execle", execle(own, "execle", "started", NULL, two));
    WITHIN(vfork, "execle", execle(own, "execle with more", "started", "1", "2", "3", "4", "5", "6", "7", NULL, none));
    WITHIN(fork, "execv", arguments[0] = "execv", clearenv(), execv(own, arguments));
    WITHIN(fork, "execv", arguments[0] = "execv with its environment", execv(own, arguments));
    WITHIN(fork, "execvp", arguments[0] = "execvp", environ = none, execvp(own, arguments));
    WITHIN(fork, "execl", environ = two, execl(own, "execl", "started", NULL));
    WITHIN(fork, "execl", environ = none, execl(own, "execl with more", "started", "1", "2", "3", "4", "5", "6", NULL));
    WITHIN(fork, "execlp", environ = none, execlp(own, "execlp", "started", "1", "2", "3", NULL));
    arguments[0] = "posix_spawn";
    fflush(stdout);
    printf("posix_spawn: %d\n", posix_spawn(&child, own, NULL, NULL, arguments, two));
    fflush(stdout);
    end_of(child, "posix_spawn");
    arguments[0] = "posix_spawnp";
    printf("posix_spawnp: %d\n", posix_spawnp(&child, name, NULL, NULL, arguments, none));
    fflush(stdout);
    end_of(child, "posix_spawnp");
    close(file);
}

static void large(int count) {
    char **many = calloc(count + 1, sizeof *many);
    for (int at = 0; at < count; at++)
        if (asprintf(&many[at], "VARIABLE_%d=%0100d", at, at) < 0)
            exit(1);
    char *arguments[] = {"large", "started", NULL};
    WITHIN(fork, "large", execve(own, arguments, many));
    WITHIN(vfork, "large", execve(own, arguments, many));
    // What was mapped for a call that failed is given back.
    for (int at = 0; at < 2000; at++)
        if (execve("/no/such/file", arguments, many) != -1 || errno != ENOENT)
            printf("another error: %s\n", strerror(errno));
}

static void failures(char **none) {
    char *arguments[] = {"failing", "started", NULL};
    char *volatile nowhere = (char *)8;
    char *bad_text[] = {nowhere, NULL};
    char **volatile bad_list = (char **)8;
    char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(page + 4096, 4096, PROT_NONE);
    char **volatile endless = (char **)page;
    for (int at = 0; at < 512; at++)
        endless[at] = "A=1";
    pid_t child;
    FAILS(execve("/no/such/file", arguments, none));
    FAILS(execve("/", arguments, none));
    FAILS(execve("/dev/null", arguments, none));
    FAILS(execve(nowhere, arguments, none));
    FAILS(execve(own, bad_text, none));
    FAILS(execve(own, bad_list, none));
    FAILS(execve(own, arguments, bad_text));
    FAILS(execve(own, arguments, bad_list));
    FAILS(execve(own, arguments, endless));
    FAILS(execvp("no-such-program", arguments));
    FAILS(execvp("", arguments));
    FAILS(execl("/no/such/file", "failing", "1", "2", "3", "4", "5", "6", "7", NULL));
    FAILS(execlp("no-such-program", "failing", NULL));
    FAILS(execle("/no/such/file", "failing", NULL, none));
    FAILS(fexecve(-1, arguments, none));
    FAILS(execveat(-1, "x", arguments, none, 0));
    FAILS(posix_spawn(&child, "/no/such/file", NULL, NULL, arguments, none));
    FAILS(posix_spawnp(&child, "no-such-program", NULL, NULL, arguments, none));
}

int main(int argc, char **argv) {
    if (argc > 1)
        return started(argc, argv);
    char *none[] = {NULL};
    ssize_t len = readlink("/proc/self/exe", own, sizeof own - 1);
    if (len < 0)
        return 1;
    char *slash = strrchr(own, '/');
    *slash = 0;
    setenv("PATH", own, 1);
    *slash = '/';
    each_way(none);
    large(50);
    large(3000);
    failures(none);
    puts("done");
    return 0;
}
