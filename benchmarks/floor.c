/* The floor: no more than posix_spawn and waitpid. Each step is `/bin/sh -c COMMAND` in a session of its own,
   its output in a file of its own, its input empty. Groups run one after another, the steps of a group
   PARALLEL at a time.   floor PARALLEL FOLDER COMMAND SIZE_OF_GROUP... */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

extern char **environ;

static void fail(const char *what, int code) {
  fprintf(stderr, "cannot %s: %s\n", what, strerror(code));
  exit(1);
}

static void start(const char *folder, long number, char *command, const posix_spawnattr_t *attributes) {
  char output[4096];
  char *argv[] = {"/bin/sh", "-c", command, NULL};
  posix_spawn_file_actions_t actions;
  pid_t pid;
  int code;
  snprintf(output, sizeof output, "%s/%ld.log", folder, number);
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_APPEND, 0600);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  code = posix_spawn(&pid, argv[0], &actions, attributes, argv, environ);
  if (code != 0) fail("spawn", code);
  posix_spawn_file_actions_destroy(&actions);
}

static void reap(void) {
  int status;
  while (waitpid(-1, &status, 0) < 0)
    if (errno != EINTR) fail("wait", errno);
  if (status != 0) fail("go on: a step failed", 0);
}

int main(int argc, char **argv) {
  if (argc < 5) {
    fprintf(stderr, "usage: floor PARALLEL FOLDER COMMAND SIZE_OF_GROUP...\n");
    return 2;
  }
  long parallel = atol(argv[1]), number = 0;
  sigset_t defaults, none;
  posix_spawnattr_t attributes;
  sigfillset(&defaults);
  sigemptyset(&none);
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  for (int group = 4; group < argc; group++) {
    long waiting = atol(argv[group]), running = 0;
    while (waiting > 0 || running > 0) {
      while (waiting > 0 && running < parallel) {
        start(argv[2], number++, argv[3], &attributes);
        waiting--, running++;
      }
      reap();
      running--;
    }
  }
  return 0;
}
