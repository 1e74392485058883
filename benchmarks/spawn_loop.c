/* Start the same command again and again from one loop at a given instant: what a serial scheduler can reach at best.
 * spawn_loop JOBS DUE COMMAND, DUE in seconds since 1970. Prints one line for each start: nanoseconds since 1970. */
#define _GNU_SOURCE
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

static long long now(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int main(int argc, char **argv) {
    pid_t child;
    int jobs = atoi(argv[1]);
    double due = strtod(argv[2], NULL);
    char *command[] = {"/bin/sh", "-c", argv[3], NULL};
    long long *starts = calloc(jobs, sizeof *starts);
    struct timespec until = {(time_t)due, (long)((due - (time_t)due) * 1e9)};
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 1, "/dev/null", 1, 0);
    clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &until, NULL);
    for (int i = 0; i < jobs; i++) {
        if (posix_spawn(&child, command[0], &files, &attributes, command, environ) != 0) return 1;
        starts[i] = now();
    }
    while (wait(NULL) > 0) {}
    for (int i = 0; i < jobs; i++) printf("%lld\n", starts[i]);
    return 0;
}
