/* Running a case, natively and inside.  See conform.h. */
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
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "abi/time.h"
#include "base/log.h"
#include "cli/conform.h"
#include "cli/env.h"
#include "cli/options.h"
#include "host/clock.h"
#include "host/front.h"

/* What ends conform, once a run has been ended and all is tidied up.  Blocked throughout, and waited for by a descriptor. */
static sigset_t ending, inherited_mask;
static int signals = -1;

static void take_signals(void)
{
	sigemptyset(&ending);
	sigaddset(&ending, SIGINT);
	sigaddset(&ending, SIGTERM);
	sigaddset(&ending, SIGHUP);
	sigprocmask(SIG_BLOCK, &ending, &inherited_mask);
	signals = signalfd(-1, &ending, SFD_CLOEXEC);
}

/* ---- one run ---- */

/* In the child: a session of its own, so that neither side has a terminal, and the whole of it can be killed. */
static void start(const struct conform_result *r, const char *name, char **argv, char **env, int failure_fd)
{
	char out[64], err[64];
	int dir = open(r->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), in = open("/dev/null", O_RDONLY), fds[2];

	snprintf(out, sizeof(out), "%s.out", name);
	snprintf(err, sizeof(err), "%s.err", name);
	fds[0] = openat(dir, out, O_WRONLY | O_CREAT | O_EXCL | O_APPEND, 0600);
	fds[1] = openat(dir, err, O_WRONLY | O_CREAT | O_EXCL | O_APPEND, 0600);
	if (sigprocmask(SIG_SETMASK, &inherited_mask, NULL) == 0 && setsid() >= 0 && fchdir(dir) == 0 && chdir("work") == 0 &&
	    dup2(in, 0) >= 0 && dup2(fds[0], 1) >= 0 && dup2(fds[1], 2) >= 0 &&
	    close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) == 0) {
		execvpe(argv[0], argv, env);
	}
	if (write(failure_fd, &errno, sizeof(errno)) < 0)
		_exit(EXIT_BAILEY);
	_exit(EXIT_BAILEY);
}

/* -EINTR after a signal to end, which is noted in r. */
static int wait_for_end(struct conform_result *r, pid_t pid, unsigned timeout_s, int *status)
{
	struct pollfd p[2] = {{.fd = pidfd_open(pid, 0), .events = POLLIN}, {.fd = signals, .events = POLLIN}};
	struct signalfd_siginfo s;
	bool late = false;
	int raw;

	if (p[0].fd >= 0) {
		late = poll(p, 2, timeout_s ? (int)timeout_s * 1000 : -1) == 0;
		if (p[1].revents && read(signals, &s, sizeof(s)) == sizeof(s))
			r->signal = (int)s.ssi_signo;
		if (late || r->signal)
			kill(-pid, SIGKILL);
		close(p[0].fd);
	}
	while (waitpid(pid, &raw, 0) < 0)
		if (errno != EINTR)
			return -errno;
	kill(-pid, SIGKILL); /* whom it left behind: inside they end with the sandbox */
	*status = late ? CONFORM_NO_END : WIFSIGNALED(raw) ? 128 + WTERMSIG(raw) : WEXITSTATUS(raw);
	return r->signal ? -EINTR : 0;
}

/* For scripts: NAME.status is a number, or "none". */
static int write_status(int dir, const struct conform_outcome *o)
{
	char name[64], text[16];
	int fd, n, r;

	snprintf(name, sizeof(name), "%s.status", o->name);
	n = o->status == CONFORM_NO_END ? snprintf(text, sizeof(text), "none\n") : snprintf(text, sizeof(text), "%d\n", o->status);
	fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	r = write(fd, text, (size_t)n) == n ? 0 : -EIO;
	close(fd);
	return r;
}

/* Forks and executes; -errno also if argv could not be executed. */
static int run_in(struct conform_result *r, struct conform_outcome *o, char **argv, char **env, unsigned timeout_s)
{
	int failure[2], err = 0, e = 0;
	int64_t began_ns = host_clock_ns(L_CLOCK_MONOTONIC);
	pid_t pid;

	if (pipe2(failure, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid == 0)
		start(r, o->name, argv, env, failure[1]);
	if (pid < 0)
		err = -errno;
	close(failure[1]);
	if (pid > 0) {
		if (read(failure[0], &e, sizeof(e)) < 0)
			e = errno;
		err = wait_for_end(r, pid, timeout_s, &o->status);
		if (e)
			err = -e;
	}
	close(failure[0]);
	o->seconds = (double)(host_clock_ns(L_CLOCK_MONOTONIC) - began_ns) / 1e9;
	return err;
}

/* Runs argv in DIR/work, which is DIR/NAME afterwards. */
static int run(struct conform_result *r, struct conform_outcome *o, char **argv, char **env, unsigned timeout_s)
{
	int dir = open(r->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err = 0;

	if (dir < 0)
		return -errno;
	if (mkdirat(dir, "work", 0755) < 0 || fchmodat(dir, "work", 0755, 0) < 0)
		err = -errno;
	if (err == 0)
		err = run_in(r, o, argv, env, timeout_s);
	if (err == 0 && renameat(dir, "work", dir, o->name) < 0)
		err = -errno;
	if (err == 0)
		err = write_status(dir, o);
	close(dir);
	return err;
}

/* ---- inside ---- */

static char *word(const char *text)
{
	return (char *)(uintptr_t)text;
}

/* BAILEY do OPTIONS --platform P --log DIR/P.log --bind DIR/work DIR/work -- CMD */
static char **inside_argv(const struct conform_case *c, const struct conform_result *r, const char *bailey, const char *platform)
{
	size_t n = 0, args = 0;
	char **v, *work, *log;

	while (c->argv[args])
		args++;
	v = grown(NULL, args + c->do_option_count + 16, sizeof(*v));
	if (asprintf(&work, "%s/work", r->dir) < 0 || asprintf(&log, "%s/%s.log", r->dir, platform) < 0)
		panic("out of memory while comparing");
	v[n++] = word(bailey);
	v[n++] = word("do");
	for (size_t i = 0; i < c->do_option_count; i++)
		v[n++] = c->do_options[i];
	v[n++] = word("--platform");
	v[n++] = word(platform);
	v[n++] = word("--log");
	v[n++] = log;
	v[n++] = word("--bind");
	v[n++] = work;
	v[n++] = work;
	v[n++] = word("--clearenv");
	for (char **e = c->env; *e; e++) {
		v = grown(v, n + args + 16, sizeof(*v));
		v[n++] = word("--env");
		v[n++] = *e;
	}
	v[n++] = word("--");
	for (size_t i = 0; i <= args; i++)
		v[n++] = c->argv[i];
	return v;
}

/* The first line of DIR/NAME.SUFFIX, ending with its newline; "" if there is none, NULL if there is no such file. */
static const char *first_line(const struct conform_result *r, const char *name, const char *suffix)
{
	static char line[1200];
	char path[4200];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s.%s", r->dir, name, suffix);
	f = fopen(path, "re");
	if (!f)
		return NULL;
	if (!fgets(line, sizeof(line), f))
		line[0] = '\0';
	fclose(f);
	return line;
}

/* True if Bailey itself failed, and so said in its log; or on standard error, if it did not come to open that.  Passed on. */
static bool failed_itself(const struct conform_result *r, const struct conform_outcome *o, const char *bailey)
{
	const char *said = first_line(r, o->name, "log");

	if (said && (o->status != EXIT_BAILEY || !said[0]))
		return false;
	if (!said && (o->status == CONFORM_NO_END || o->status > 128))
		return false;
	if (!said && o->status == EXIT_BAILEY)
		said = first_line(r, o->name, "err");
	if (said && said[0])
		fputs(said, stderr);
	else
		log_error("conform: %s do does not what a bailey does; --bailey takes a bailey", quoted(bailey));
	return true;
}

/* Bailey's own environment is the caller's; what CMD's is, its options say. */
static int run_inside(const struct conform_case *c, struct conform_result *r, struct conform_outcome *o, const char *bailey)
{
	char **argv = inside_argv(c, r, bailey, o->name);
	int err = run(r, o, argv, environ, c->inside_timeout_s);

	free(argv);
	if (err < 0 && !r->signal) {
		log_error("conform: cannot run %s do: %s; --bailey takes a bailey that can be executed", quoted(bailey), strerror(-err));
	}
	return err < 0 ? err : failed_itself(r, o, bailey) ? -ECANCELED : 0;
}

/* ---- all of it ---- */

static int make_dir(const struct conform_case *c, struct conform_result *r)
{
	int err = 0;

	r->kept = c->keep != NULL;
	if (r->kept && mkdir(c->keep, 0755) < 0 && (errno != EEXIST || rmdir(c->keep) < 0 || mkdir(c->keep, 0755) < 0)) {
		err = -errno;
		log_error("conform: --keep: cannot make %s: %s; name a directory that is new or empty", quoted(c->keep), strerror(-err));
		return err;
	}
	r->dir = r->kept ? realpath(c->keep, NULL) : strdup("/var/tmp/bailey-conform.XXXXXX"); /* /tmp is another one inside */
	if (r->dir && (r->kept || mkdtemp(r->dir)))
		return 0;
	err = -errno;
	log_error("conform: cannot make a working directory in /var/tmp: %s; make room there, or name one with --keep", strerror(-err));
	free(r->dir);
	r->dir = NULL;
	return err;
}

static int find_self(const struct conform_case *c, char *self, size_t size)
{
	ssize_t n = c->bailey ? snprintf(self, size, "%s", c->bailey) : readlink("/proc/self/exe", self, size - 1);

	if (n >= 0 && (size_t)n < size) {
		self[n] = '\0';
		return 0;
	}
	log_error("conform: cannot find Bailey itself by /proc/self/exe: %s; mount /proc, or name it with --bailey", strerror(errno));
	return -ENOENT;
}

int conform_run(const struct conform_case *c, struct conform_result *out)
{
	char self[4096];
	int r;

	*out = (struct conform_result){.native = {.name = "native"}};
	r = find_self(c, self, sizeof(self));
	if (r == 0)
		r = make_dir(c, out);
	if (r < 0)
		return r;
	take_signals();
	r = run(out, &out->native, c->argv, c->env, c->native_timeout_s);
	if (r < 0) {
		if (!out->signal)
			log_error("conform: cannot run %s natively: %s; name a program that runs there", quoted(c->argv[0]), strerror(-r));
		return r;
	}
	out->inside = grown(NULL, c->platform_count, sizeof(*out->inside));
	for (size_t i = 0; r == 0 && i < c->platform_count; i++) {
		out->inside[out->inside_count] = (struct conform_outcome){.name = c->platforms[i]};
		r = run_inside(c, out, &out->inside[out->inside_count++], self);
	}
	return r;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st, (void)type, (void)where;
	return remove(path);
}

static void free_outcome(struct conform_outcome *o)
{
	for (size_t i = 0; i < o->count; i++) {
		free(o->differences[i].what);
		free(o->differences[i].native);
		free(o->differences[i].inside);
	}
	free(o->differences);
}

void conform_end(struct conform_result *r)
{
	for (size_t i = 0; i < r->inside_count; i++)
		free_outcome(&r->inside[i]);
	free(r->inside);
	if (r->dir && !r->kept && nftw(r->dir, remove_one, 16, FTW_PHYS | FTW_DEPTH) < 0)
		log_warn("conform: cannot remove %s: %s", r->dir, strerror(errno));
	free(r->dir);
	*r = (struct conform_result){0};
}
