/* Running a case twice, and comparing statuses and outputs.  See conform.h. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/conform.h"
#include "cli/env.h"

#define OWN_ERROR 125

/* ---- differences ---- */

void conform_note(struct conform_result *r, const char *what, const char *native, const char *inside)
{
	struct conform_difference d = {strdup(what), strdup(native), strdup(inside)};

	if (!d.what || !d.native || !d.inside)
		panic("out of memory while comparing");
	r->differences = grown(r->differences, r->count + 1, sizeof(*r->differences));
	r->differences[r->count++] = d;
}

static void compare_stream(struct conform_result *r, int dir, const char *what, const char *suffix)
{
	char a[32], b[32], size_a[64], size_b[128];
	struct stat sa = {0}, sb = {0};
	unsigned long long at;

	snprintf(a, sizeof(a), "native.%s", suffix);
	snprintf(b, sizeof(b), "inside.%s", suffix);
	if (conform_same_bytes(dir, a, b, &at) || fstatat(dir, a, &sa, 0) < 0 || fstatat(dir, b, &sb, 0) < 0)
		return;
	snprintf(size_a, sizeof(size_a), "%jd bytes", (intmax_t)sa.st_size);
	snprintf(size_b, sizeof(size_b), "%jd bytes, other from byte %llu on", (intmax_t)sb.st_size, at);
	conform_note(r, what, size_a, size_b);
}

static void status_text(const struct conform_outcome *o, char *buf, size_t size)
{
	if (o->status == CONFORM_NO_END)
		snprintf(buf, size, "no end in time");
	else
		snprintf(buf, size, "%d", o->status);
}

int conform_compare(struct conform_result *r)
{
	int dir = open(r->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char a[32], b[32];

	if (dir < 0)
		return -errno;
	if (r->native.status != r->inside.status || r->native.status == CONFORM_NO_END) {
		status_text(&r->native, a, sizeof(a));
		status_text(&r->inside, b, sizeof(b));
		conform_note(r, "status", a, b);
	}
	compare_stream(r, dir, "stdout", "out");
	compare_stream(r, dir, "stderr", "err");
	close(dir);
	return conform_compare_files(r);
}

/* ---- one run ---- */

/* In the child: a session of its own, so that neither side has a terminal, and the whole of it can be killed. */
static void start(const struct conform_result *r, const char *name, char **argv, char **env, int failure_fd)
{
	char out[32], err[32];
	int dir = open(r->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), in = open("/dev/null", O_RDONLY), fds[2];

	snprintf(out, sizeof(out), "%s.out", name);
	snprintf(err, sizeof(err), "%s.err", name);
	fds[0] = openat(dir, out, O_WRONLY | O_CREAT | O_EXCL | O_APPEND, 0600);
	fds[1] = openat(dir, err, O_WRONLY | O_CREAT | O_EXCL | O_APPEND, 0600);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && setsid() >= 0 && fchdir(dir) == 0 && chdir("work") == 0 &&
	    dup2(in, 0) >= 0 && dup2(fds[0], 1) >= 0 && dup2(fds[1], 2) >= 0 &&
	    close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) == 0) {
		execvpe(argv[0], argv, env);
	}
	if (write(failure_fd, &errno, sizeof(errno)) < 0)
		_exit(OWN_ERROR);
	_exit(OWN_ERROR);
}

static int wait_for_end(pid_t pid, unsigned timeout_s, int *status)
{
	struct pollfd p = {.fd = pidfd_open(pid, 0), .events = POLLIN};
	bool late = false;
	int raw;

	if (p.fd >= 0 && timeout_s) {
		late = poll(&p, 1, timeout_s > 1000000 ? -1 : (int)timeout_s * 1000) == 0;
		if (late)
			kill(-pid, SIGKILL);
	}
	if (p.fd >= 0)
		close(p.fd);
	while (waitpid(pid, &raw, 0) < 0)
		if (errno != EINTR)
			return -errno;
	kill(-pid, SIGKILL); /* whom it left behind: inside they end with the sandbox */
	*status = late ? CONFORM_NO_END : WIFSIGNALED(raw) ? 128 + WTERMSIG(raw) : WEXITSTATUS(raw);
	return 0;
}

/* Runs argv in DIR/work, which is DIR/NAME afterwards.  -errno also if argv could not be executed. */
static int run(struct conform_result *r, struct conform_outcome *o, char **argv, char **env, unsigned timeout_s)
{
	int dir = open(r->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), failure[2], err = 0, e;
	pid_t pid;

	if (dir < 0)
		return -errno;
	if (mkdirat(dir, "work", 0755) < 0 || fchmodat(dir, "work", 0755, 0) < 0 || pipe2(failure, O_CLOEXEC) < 0) {
		e = -errno;
		close(dir);
		return e;
	}
	pid = fork();
	if (pid == 0)
		start(r, o->name, argv, env, failure[1]);
	if (pid < 0)
		err = -errno;
	close(failure[1]);
	if (pid > 0) {
		e = 0;
		if (read(failure[0], &e, sizeof(e)) < 0)
			e = errno;
		err = wait_for_end(pid, timeout_s, &o->status);
		if (e)
			err = -e;
	}
	close(failure[0]);
	if (err == 0 && renameat(dir, "work", dir, o->name) < 0)
		err = -errno;
	close(dir);
	return err;
}

/* ---- both ---- */

/* bailey do --platform P --log DIR/log --bind DIR/work DIR/work OPTIONS -- CMD */
static char **inside_argv(const struct conform_case *c, const struct conform_result *r, char *self)
{
	size_t n = 0, args = 0;
	char **v, *work, *log;

	while (c->argv[args])
		args++;
	v = grown(NULL, args + c->do_option_count + 16, sizeof(*v));
	if (asprintf(&work, "%s/work", r->dir) < 0 || asprintf(&log, "%s/log", r->dir) < 0)
		panic("out of memory while comparing");
	v[n++] = self;
	v[n++] = (char *)(uintptr_t)"do";
	v[n++] = (char *)(uintptr_t)"--platform";
	v[n++] = (char *)(uintptr_t)c->platform;
	v[n++] = (char *)(uintptr_t)"--log";
	v[n++] = log;
	for (size_t i = 0; i < c->do_option_count; i++)
		v[n++] = c->do_options[i];
	v[n++] = (char *)(uintptr_t)"--bind";
	v[n++] = work;
	v[n++] = work;
	v[n++] = (char *)(uintptr_t)"--clearenv";
	for (char **e = c->env; *e; e++) {
		v = grown(v, n + args + 16, sizeof(*v));
		v[n++] = (char *)(uintptr_t)"--env";
		v[n++] = *e;
	}
	v[n++] = (char *)(uintptr_t)"--";
	for (size_t i = 0; i <= args; i++)
		v[n++] = c->argv[i];
	return v;
}

static int make_dir(struct conform_result *r)
{
	if (asprintf(&r->dir, "%s", "/var/tmp/bailey-conform.XXXXXX") < 0) /* not in /tmp, which is another one inside */
		return -ENOMEM;
	if (mkdtemp(r->dir))
		return 0;
	free(r->dir);
	r->dir = NULL;
	return -errno;
}

/* Whether Bailey itself failed: it then said why in its log. */
static bool failed_itself(const struct conform_result *r)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "%s/log", r->dir);
	return r->inside.status == OWN_ERROR && stat(path, &st) == 0 && st.st_size > 0;
}

/* Passes on what Bailey said. */
static void repeat_log(const struct conform_result *r)
{
	char path[64], line[1200];
	FILE *f;

	snprintf(path, sizeof(path), "%s/log", r->dir);
	f = fopen(path, "re");
	if (f && fgets(line, sizeof(line), f))
		fputs(line, stderr);
	if (f)
		fclose(f);
}

int conform_run(const struct conform_case *c, struct conform_result *out)
{
	char self[4096];
	char **argv;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	int r;

	*out = (struct conform_result){.native = {.name = "native"}, .inside = {.name = "inside"}};
	if (n < 0) {
		log_error("conform: cannot find Bailey itself by /proc/self/exe: %s; mount /proc", strerror(errno));
		return -ENOENT;
	}
	self[n] = '\0';
	r = make_dir(out);
	if (r < 0) {
		log_error("conform: cannot make a working directory in /var/tmp: %s", strerror(-r));
		return r;
	}
	r = run(out, &out->native, c->argv, c->env, c->timeout_s);
	if (r < 0) {
		log_error("conform: cannot run %s natively: %s", c->argv[0], strerror(-r));
		return r;
	}
	argv = inside_argv(c, out, self);
	r = run(out, &out->inside, argv, c->env, c->timeout_s);
	free(argv);
	if (r < 0) {
		log_error("conform: cannot run %s do: %s", self, strerror(-r));
		return r;
	}
	if (failed_itself(out)) {
		repeat_log(out);
		return -ECANCELED;
	}
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st, (void)type, (void)where;
	return remove(path);
}

void conform_end(struct conform_result *r)
{
	for (size_t i = 0; i < r->count; i++) {
		free(r->differences[i].what);
		free(r->differences[i].native);
		free(r->differences[i].inside);
	}
	free(r->differences);
	if (r->dir && nftw(r->dir, remove_one, 16, FTW_PHYS | FTW_DEPTH) < 0)
		log_warn("conform: cannot remove %s: %s", r->dir, strerror(errno));
	free(r->dir);
	*r = (struct conform_result){0};
}
